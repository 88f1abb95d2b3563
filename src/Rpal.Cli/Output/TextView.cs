using System.Buffers;
using System.Text;
using Rpal.Hosting;

namespace Rpal.Cli.Output;

/// <summary>For people: each line behind its member's name, and what rpal itself has to say on standard error.</summary>
internal sealed class TextView : IRunView
{
    /// <summary>Colours that can be read on light and dark, apart from red, which means failure. Source: ECMA-48, SGR.</summary>
    private static readonly string[] s_colors = ["36", "33", "32", "35", "34", "96", "93", "92", "95", "94"];

    private const string Reset = "\e[0m", Faint = "\e[2m", Red = "\e[31m", Bold = "\e[1m";

    private readonly OutputWriter _writer;
    private readonly string[] _names;
    private readonly bool _errorColors;
    private readonly int _nameWidth;
    private readonly Dictionary<string, (byte[] Output, byte[] Error)> _prefixes = [];

    /// <param name="writer">Where everything goes.</param>
    /// <param name="names">The members' names.</param>
    /// <param name="prefix">Whether lines begin with a name.</param>
    /// <param name="outputColors">Colours on standard output.</param>
    /// <param name="errorColors">Colours on standard error.</param>
    public TextView(OutputWriter writer, string[] names, bool prefix, bool outputColors, bool errorColors)
    {
        (_writer, _names, _errorColors) = (writer, names, errorColors);
        _nameWidth = names.Max(n => n.Length);
        for (int i = 0; i < names.Length; i++)
        {
            string color = s_colors[i % s_colors.Length];
            string text = prefix ? names[i].PadRight(_nameWidth) + "  | " : "";
            _prefixes[names[i]] = (Colored(text, color, outputColors && prefix), Colored(text, color, errorColors && prefix));
        }
    }

    public void Started(string member, int processId, long slotAddress)
    {
        Say($"{member.PadRight(_nameWidth)}  started: process {processId}, slot 0x{slotAddress:x}", Faint);
    }

    public void Line(string member, bool isError, ReadOnlySpan<byte> line)
    {
        (byte[] output, byte[] error) = _prefixes[member];
        _writer.Write(isError, new PrefixedLine(isError ? error : output, line), static (into, l) =>
        {
            into.Write(l.Prefix);
            into.Write(l.Line);
            into.Write("\n"u8);
        });
    }

    public void Ended(string member, MemberExit exit, TimeSpan ran)
    {
        Say($"{member.PadRight(_nameWidth)}  ended: {exit} after {ExitText.Describe(ran)}", exit.ExitCode == 0 ? Faint : Red);
    }

    public void Ready(string member, TimeSpan after) => Say($"{member.PadRight(_nameWidth)}  ready after {ExitText.Describe(after)}", Faint);

    public void Acting(string member, string text) => Say($"{member.PadRight(_nameWidth)}  {text}", Faint);

    public void Restarting(string member, TimeSpan delay, int attempt, string why) =>
        Say($"{member.PadRight(_nameWidth)}  starts again in {delay.TotalSeconds:0.0##} s, attempt {attempt}: {why}", Faint);

    public void GivenUp(string member, string why) => Say($"{member.PadRight(_nameWidth)}  given up: {why}", Red);

    public void Notice(string member, string text) => Say($"{member.PadRight(_nameWidth)}  {text}", Red);

    public void Summary(FamilyResult result)
    {
        (string Name, string Exit, string Ran, bool Failed)[] rows =
            [.. result.Members.OrderBy(m => Array.IndexOf(_names, m.Name)).Select(m => (m.Name, $"{m.Exit}", ExitText.Describe(m.Ran), m.Exit.ExitCode != 0))];
        if (rows.Length == 0)
        {
            return;                                              // stopped before the first was started
        }

        int exitWidth = Math.Max("ended".Length, rows.Max(r => r.Exit.Length));
        int nameWidth = Math.Max("member".Length, _nameWidth);
        Write(Style($"{"member".PadRight(nameWidth)}  {"ended".PadRight(exitWidth)}  ran", Bold));
        foreach ((string name, string exit, string ran, bool failed) in rows)
        {
            Write($"{name.PadRight(nameWidth)}  {(failed ? Style(exit.PadRight(exitWidth), Red) : exit.PadRight(exitWidth))}  {ran}");
        }
    }

    private void Say(string text, string style) => Write(Style($"rpal: {text}", style));

    private string Style(string text, string style) => _errorColors ? style + text + Reset : text;

    private void Write(string line) => _writer.Write(isError: true, line, static (into, l) =>
    {
        Encoding.UTF8.GetBytes(l, into);
        into.Write("\n"u8);
    });

    private static byte[] Colored(string text, string color, bool colors) => Encoding.UTF8.GetBytes(colors ? $"\e[{color}m{text}{Reset}" : text);

    private readonly ref struct PrefixedLine(byte[] prefix, ReadOnlySpan<byte> line)
    {
        public readonly byte[] Prefix = prefix;
        public readonly ReadOnlySpan<byte> Line = line;
    }
}
