using Rpal.Cli.Output;
using Spectre.Console;

namespace Rpal.Cli.Bench;

/// <summary>Where tables and progress go: escapes only where a terminal shows them, progress on standard error.</summary>
internal static class BenchConsole
{
    /// <summary>Columns of a table that goes into a pipe or file.</summary>
    private const int PlainWidth = 100;

    public static IAnsiConsole Tables { get; } = Create(Console.Out, Terminal.HasColors(isError: false), Console.IsOutputRedirected);

    /// <summary>Null where nobody looks.</summary>
    public static IAnsiConsole? Progress { get; } = Console.IsErrorRedirected ? null : Create(Console.Error, Terminal.HasColors(isError: true), redirected: false);

    private static IAnsiConsole Create(TextWriter writer, bool colors, bool redirected)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = colors ? AnsiSupport.Detect : AnsiSupport.No,
            ColorSystem = colors ? ColorSystemSupport.Detect : ColorSystemSupport.NoColors,
            Out = new AnsiConsoleOutput(writer),
        });
        if (redirected)
        {
            console.Profile.Width = PlainWidth;
        }

        return console;
    }
}
