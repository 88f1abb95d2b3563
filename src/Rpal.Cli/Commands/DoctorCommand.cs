using System.CommandLine;
using System.Text.Json;
using Rpal.Cli.Output;
using Rpal.Linux;
using Rpal.Machine.Platform;
using Spectre.Console;

namespace Rpal.Cli.Commands;

/// <summary><c>rpal doctor</c>: what this machine can do, found by trying it.</summary>
internal static class DoctorCommand
{
    private static readonly JsonWriterOptions s_indented = new() { Indented = true };

    public static Command Create()
    {
        var json = new Option<bool>("--json") { Description = "The result as one JSON object" };
        var noColor = new Option<bool>("--no-color") { Description = "No colours, even on a terminal (NO_COLOR does the same)" };
        var command = new Command("doctor", "Tries everything that a family needs of this machine. Exits with 1 when no family can run.") { json, noColor };
        command.SetAction(parsed => Show(PlatformCheck.Run(), parsed.GetValue(json), Console.Out, !parsed.GetValue(noColor) && Terminal.HasColors(isError: false)));
        return command;
    }

    /// <returns>The exit code.</returns>
    internal static int Show(PlatformReport report, bool json, TextWriter output, bool colors)
    {
        if (json)
        {
            output.WriteLine(Json(report));
        }
        else
        {
            Table(report, output, colors);
        }

        output.Flush();
        return report.CanRun ? 0 : ExitCode.CannotRun;
    }

    private static string Json(PlatformReport report)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, s_indented))
        {
            json.WriteStartObject();
            json.WriteBoolean("canRun", report.CanRun);
            json.WriteStartArray("checks");
            foreach (PlatformFinding f in report.Findings)
            {
                json.WriteStartObject();
                json.WriteString("name", f.Feature.Name);
                json.WriteBoolean("required", f.Feature.Required);
                json.WriteBoolean("works", f.Works);
                json.WriteString("found", f.Found);
                json.WriteString("purpose", f.Feature.Purpose);
                json.WriteString("without", f.Feature.Without);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        return System.Text.Encoding.UTF8.GetString(buffer.ToArray());
    }

    private static void Table(PlatformReport report, TextWriter output, bool colors)
    {
        IAnsiConsole console = Tables.Console(output, colors);
        var table = new Table { Border = TableBorder.Simple };
        table.AddColumn(new TableColumn("check") { NoWrap = true });
        table.AddColumn(new TableColumn("result") { NoWrap = true });
        table.AddColumn("what it is for, what to do without");
        foreach (PlatformFinding f in report.Findings)
        {
            string result = f.Works ? "[green]works[/]" : f.Feature.Required ? "[red bold]MISSING[/]" : "[yellow]missing[/]";
            string name = f.Feature.Required ? f.Feature.Name : $"{f.Feature.Name} (optional)";
            string text = f.Works ? f.Feature.Purpose : $"{f.Found}. For: {f.Feature.Purpose}. {f.Feature.Without}";
            table.AddRow(Markup.Escape(name), result, Markup.Escape(text));
        }

        console.Write(table);
        string missing = string.Join(", ", report.Findings.Where(f => !f.Works).Select(f => f.Feature.Name));
        console.MarkupLine(report.Refusal is { } refusal ? $"[red bold]{Markup.Escape(refusal)}[/]"
            : missing.Length == 0 ? "[green]Families can run here.[/]"
            : $"[green]Families can run here[/], without {Markup.Escape(missing)}.");
    }
}
