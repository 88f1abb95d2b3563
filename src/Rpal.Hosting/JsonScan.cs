using System.Text;
using System.Text.Unicode;

namespace Rpal.Hosting;

/// <summary>Finds the first place where a text is not JSON, and says in the words of the file what was expected there. Comments and a comma before a closing bracket are fine.</summary>
internal sealed class JsonScan
{
    /// <summary>Objects and lists within each other; <see cref="System.Text.Json.JsonDocument"/> takes no more.</summary>
    public const int DepthLimit = 64;

    private readonly byte[] _text;
    private readonly string _source;
    private int _at;

    private JsonScan(byte[] text, string source) => (_text, _source) = (text, source);

    private int Now => _at < _text.Length ? _text[_at] : -1;

    /// <param name="text">UTF-8 without a byte order mark.</param>
    /// <param name="source">The file, for the message.</param>
    /// <exception cref="FormatException">It is not JSON: file, line, column, what was expected, what is there.</exception>
    public static void Check(byte[] text, string source)
    {
        var scan = new JsonScan(text, source);
        if (!Utf8.IsValid(text))
        {
            _ = Utf8.ToUtf16(text, new char[text.Length], out scan._at, out _, replaceInvalidSequences: false);
            throw scan.Wrong("text in UTF-8");
        }

        scan.Value(1, "{ \"members\": ... }");
        scan.Skip();
        if (scan.Now >= 0)
        {
            throw scan.Wrong("nothing more behind the closing bracket");
        }
    }

    private void Value(int depth, string expected)
    {
        Skip();
        switch (Now)
        {
            case '{' or '[' when depth > DepthLimit:
                throw Wrong($"at most {DepthLimit} brackets within each other");
            case '{':
                Members('}', "a comma, or } for the end of the object", () =>
                {
                    if (Now != '"')
                    {
                        throw Wrong("a field's name in quotes, or }");
                    }

                    Text();
                    Skip();
                    Take(':', "a colon behind the field's name");
                    Value(depth + 1, "a value behind the colon");
                });
                break;
            case '[':
                Members(']', "a comma, or ] for the end of the list", () => Value(depth + 1, "a value, or ]"));
                break;
            case '"':
                Text();
                break;
            case '-' or (>= '0' and <= '9'):
                Number();
                break;
            default:
                Word(expected);
                break;
        }
    }

    private void Members(char end, string expectedBehind, Action one)
    {
        _at++;
        for (Skip(); Now != end; Skip())
        {
            one();
            Skip();
            if (Now != end)
            {
                Take(',', expectedBehind);
            }
        }

        _at++;
    }

    private void Word(string expected)
    {
        foreach (string word in (string[])["true", "false", "null"])
        {
            if (_text.AsSpan(_at).StartsWith(Encoding.UTF8.GetBytes(word)) && !IsLetter(_at + word.Length))
            {
                _at += word.Length;
                return;
            }
        }

        throw Wrong(IsLetter(_at) ? $"{expected} (a text is in quotes; without are true, false and null)" : expected);
    }

    private bool IsLetter(int at) => at < _text.Length && (char.IsAsciiLetterOrDigit((char)_text[at]) || _text[at] is (byte)'_');

    private void Number()
    {
        const string digit = "a digit (numbers: 5, -1, 0.25, 1e3)";
        _at += Now == '-' ? 1 : 0;
        if (Now == '0')
        {
            _at++;
        }
        else
        {
            Digits(digit);
        }

        if (Now == '.')
        {
            _at++;
            Digits(digit);
        }

        if (Now is 'e' or 'E')
        {
            _at++;
            _at += Now is '+' or '-' ? 1 : 0;
            Digits(digit);
        }

        if (IsLetter(_at))
        {
            throw Wrong("the end of the number (a text is in quotes, a number has no leading zero)");
        }
    }

    private void Digits(string expected)
    {
        int first = _at;
        while (Now is >= '0' and <= '9')
        {
            _at++;
        }

        if (_at == first)
        {
            throw Wrong(expected);
        }
    }

    private void Text()
    {
        for (_at++; Now != '"'; _at++)
        {
            if (Now is >= 0 and < ' ' or -1)
            {
                throw Wrong("the closing quote of the text on the same line (a line end within it is \\n, a tab \\t)");
            }

            if (Now == '\\')
            {
                Escape();
            }
        }

        _at++;
    }

    private void Escape()
    {
        _at++;
        if (Now == 'u')
        {
            char unit = Unit();
            if (char.IsSurrogate(unit))
            {
                bool pair = char.IsHighSurrogate(unit) && _text.AsSpan(_at + 1).StartsWith("\\u"u8);
                _at += pair ? 2 : 0;
                if (!pair || !char.IsLowSurrogate(Unit()))
                {
                    throw Wrong("the two halves of a character, as in \\ud83d\\ude00");
                }
            }
        }
        else if (Now < 0 || !"\"\\/bfnrt"u8.Contains((byte)Now))
        {
            throw Wrong("one of \" \\ / b f n r t u behind the backslash");
        }
    }

    /// <summary>From the u to its last digit.</summary>
    private char Unit()
    {
        const int digits = 4;
        int value = 0;
        for (int i = 0; i < digits; i++)
        {
            _at++;
            value = Now >= 0 && char.IsAsciiHexDigit((char)Now) ? value << 4 | Convert.ToInt32(((char)Now).ToString(), 16) : throw Wrong("four hexadecimal digits behind \\u");
        }

        return (char)value;
    }

    private void Take(char c, string expected)
    {
        if (Now != c)
        {
            throw Wrong(expected);
        }

        _at++;
    }

    /// <summary>Blanks, line ends and comments.</summary>
    private void Skip()
    {
        while (true)
        {
            if (Now is ' ' or '\t' or '\r' or '\n')
            {
                _at++;
            }
            else if (_text.AsSpan(_at).StartsWith("//"u8))
            {
                int end = _text.AsSpan(_at).IndexOf((byte)'\n');
                _at = end < 0 ? _text.Length : _at + end;
            }
            else if (_text.AsSpan(_at).StartsWith("/*"u8))
            {
                int end = _text.AsSpan(_at + 2).IndexOf("*/"u8);
                _at = end >= 0 ? _at + 2 + end + 2 : throw Wrong("*/ behind the comment");
            }
            else
            {
                return;
            }
        }
    }

    private FormatException Wrong(string expected)
    {
        ReadOnlySpan<byte> before = _text.AsSpan(0, Math.Min(_at, _text.Length));
        int line = before.Count((byte)'\n') + 1, column = Encoding.UTF8.GetCharCount(before[(before.LastIndexOf((byte)'\n') + 1)..]) + 1;
        string found = Now < 0 ? "the file ends" : Now is '\n' or '\r' ? "the line ends" : Rune.DecodeFromUtf8(_text.AsSpan(_at), out Rune rune, out _) == System.Buffers.OperationStatus.Done && !Rune.IsControl(rune) ? $"there is '{rune}'" : $"there is the byte 0x{Now:x2}";
        return new FormatException($"{_source}: line {line}, column {column}: expected {expected}, and {found}.");
    }
}
