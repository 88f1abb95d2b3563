using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rpal.Hosting;
using Spectre.Console;

namespace Rpal.Cli.Bench;

/// <summary><c>rpal bench NAME</c>: one benchmark, as tables or as one JSON object.</summary>
internal static class BenchCommands
{
    private static readonly JsonSerializerOptions s_indented = new() { WriteIndented = true };

    public static Command Create()
    {
        var json = new Option<bool>("--json") { Description = "Print one JSON object and nothing else." };
        var trace = new Option<bool>("--trace-members") { Description = "Trace the members, as rpal run --trace-members does: what signals and lazy switches cost then." };
        var bench = new Command("bench", "Measure on this machine. Figures are medians of batches; ratios are of one run.");
        foreach ((string name, string description, Func<Action<double>, Task<JsonObject>> run) in BenchFigures.All)
        {
            var command = new Command(name, description) { json, trace };
            command.SetAction(parsed =>
            {
                BenchRunner.TraceMembers = parsed.GetValue(trace);
                return Run(name, run, parsed.GetValue(json));
            });
            bench.Add(command);
        }

        return bench;
    }

    private static async Task<int> Run(string name, Func<Action<double>, Task<JsonObject>> run, bool json)
    {
        string? heading = BenchTables.Heading(name);
        try
        {
            JsonObject figures = json ? await run(static _ => { }).ConfigureAwait(false) : await BenchProgress.ShowAsync(name, run).ConfigureAwait(false);
            if (json)
            {
                Console.WriteLine(figures.ToJsonString(s_indented));
                return 0;
            }

            if (heading is not null)
            {
                BenchTables.Write(BenchConsole.Tables, name, heading, figures);
                return 0;
            }

            Table table = new Table().AddColumn("figure").AddColumn(new TableColumn("value").RightAligned());
            foreach ((string figure, JsonNode? value) in figures)
            {
                table.AddRow(figure, value!.ToString());
            }

            BenchConsole.Tables.Write(table);
            return 0;
        }
        catch (Exception e) when (e is BenchFailedException or MemberStartException)
        {
            await Console.Error.WriteLineAsync($"rpal: {e.Message}").ConfigureAwait(false);
            return 1;
        }
    }
}
