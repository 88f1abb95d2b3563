using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace Rpal.Cli;

/// <summary>Options that take a number say so themselves when they get none: the library's own text names a type of .NET.</summary>
internal static class NumberOptions
{
    private const string Whole = "a whole number", Fraction = "a number", Unsigned = "a whole number from 0 on";

    /// <summary>Of a command and those below it. Options with a parser of their own keep it.</summary>
    public static void Explain(Command command)
    {
        foreach (Option option in command.Options)
        {
            switch (option)
            {
                case Option<int> { CustomParser: null } o:
                    o.CustomParser = r => Parse(r, Whole, static w => Number<int>(w));
                    break;
                case Option<int?> { CustomParser: null } o:
                    o.CustomParser = r => Read(r, Whole, static w => Number<int>(w));
                    break;
                case Option<ulong> { CustomParser: null } o:
                    o.CustomParser = r => Parse(r, Unsigned, static w => Number<ulong>(w));
                    break;
                case Option<double> { CustomParser: null } o:
                    o.CustomParser = r => Parse(r, Fraction, static w => Number<double>(w));
                    break;
                default:
                    break;
            }
        }

        foreach (Command below in command.Subcommands)
        {
            Explain(below);
        }
    }

    /// <summary>Whether a number was given that is too small or too large. What is no number is told of by <see cref="Explain"/>.</summary>
    public static bool IsOutside<T>(this OptionResult result, T least, T most)
        where T : struct, IParsable<T>, IComparable<T> =>
        result.Tokens is [var word] && Number<T>(word.Value) is { } value && (value.CompareTo(least) < 0 || value.CompareTo(most) > 0);

    private static T? Number<T>(string word)
        where T : struct, IParsable<T> => T.TryParse(word, CultureInfo.InvariantCulture, out T value) ? value : null;

    private static T Parse<T>(ArgumentResult result, string what, Func<string, T?> read)
        where T : struct => Read(result, what, read) ?? default;

    private static T? Read<T>(ArgumentResult result, string what, Func<string, T?> read)
        where T : struct
    {
        string word = result.Tokens[0].Value;
        if (read(word) is { } value)
        {
            return value;
        }

        result.AddError($"{(result.Parent as OptionResult)?.Option.Name} {word}: takes {what}.");
        return null;
    }
}
