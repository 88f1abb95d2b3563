using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rpal.Hosting;
using Spectre.Console;

namespace Rpal.Cli.Bench;

/// <summary><c>rpal demo</c>: the seed's experiment. Messages of 32 bytes from a client to a server, and the same over Unix sockets with epoll.</summary>
internal static class DemoCommand
{
    private const int DefaultMessages = 1_000_000;

    /// <summary>A socket's message takes a thousand times as long: so many fewer are enough.</summary>
    private const int SocketShare = 10, SocketCrossShare = 25;

    private static readonly JsonSerializerOptions s_indented = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    private sealed record Row(string Way, string Measure, Statistics Ns);

    public static Command Create()
    {
        var json = new Option<bool>("--json") { Description = "Print one JSON object and nothing else." };
        var messages = new Option<int>("--messages") { Description = "Messages from client to server.", DefaultValueFactory = _ => DefaultMessages };
        messages.Validators.Add(r =>
        {
            if (r.IsOutside(1000, 50_000_000))
            {
                r.AddError("--messages: 1000 to 50000000.");
            }
        });
        var command = new Command("demo", "Two .NET programs in one address space call each other; beside it the same over Unix sockets.") { json, messages };
        command.SetAction(parsed => Run(parsed.GetValue(messages), parsed.GetValue(json)));
        return command;
    }

    private static async Task<int> Run(int messages, bool json)
    {
        try
        {
            List<Row> rows = json ? await Measure(messages, static _ => { }).ConfigureAwait(false)
                : await BenchProgress.ShowAsync($"{messages:N0} messages of 32 bytes", p => Measure(messages, p)).ConfigureAwait(false);
            if (json)
            {
                Console.WriteLine(JsonSerializer.Serialize(new { tsc_ghz = Math.Round(BenchFigures.TscPerNs, 3), rows }, s_indented));
            }
            else
            {
                Print(rows);
            }

            return 0;
        }
        catch (Exception e) when (e is BenchFailedException or MemberStartException)
        {
            await Console.Error.WriteLineAsync($"rpal: {e.Message}").ConfigureAwait(false);
            return 1;
        }
    }

    private static async Task<List<Row>> Measure(int messages, Action<double> progress)
    {
        JsonObject rpal = await BenchRunner.FamilyAsync("demo", p => progress(p * 0.4), messages.ToString()).ConfigureAwait(false);
        JsonObject same = await BenchRunner.SocketAsync(BenchFigures.FirstCpu, BenchFigures.FirstCpu, messages / SocketShare, p => progress(0.4 + p * 0.3)).ConfigureAwait(false);
        JsonObject cross = await BenchRunner.SocketAsync(BenchFigures.FirstCpu, BenchFigures.LastCpu, messages / SocketCrossShare, p => progress(0.7 + p * 0.3)).ConfigureAwait(false);
        double toNs = 1 / BenchFigures.TscPerNs;
        return
        [
            new("RPAL call", "one way", Read(rpal, "oneWay").Times(toNs)),
            new("socket, same core", "one way", Read(same, "oneWayNs")),
            new("socket, cross core", "one way", Read(cross, "oneWayNs")),
            new("RPAL call", "round trip", Read(rpal, "roundTrip").Times(toNs)),
            new("socket, same core", "round trip", Read(same, "roundTripNs")),
            new("socket, cross core", "round trip", Read(cross, "roundTripNs")),
        ];
    }

    private static Statistics Read(JsonObject from, string name) => from[name]!.Deserialize<Statistics>();

    /// <summary>Two lines a way, cycles and nanoseconds: fits 80 columns.</summary>
    private static void Print(List<Row> rows)
    {
        double tsc = BenchFigures.TscPerNs;
        foreach (IGrouping<string, Row> group in rows.GroupBy(r => r.Measure))
        {
            Table table = new Table().Border(TableBorder.Simple).Title($"[bold]32 bytes between two processes, {group.Key}[/]");
            table.AddColumn(new TableColumn("").NoWrap()).AddColumn(new TableColumn("").NoWrap());
            foreach (string heading in (string[])["mean", "p50", "p99", "p99.9", "ratio"])
            {
                table.AddColumn(new TableColumn(heading).RightAligned().NoWrap());
            }

            double own = group.First().Ns.Mean;
            foreach (Row r in group)
            {
                string style = r == group.First() ? "green" : "default";
                AddLine(table, style, r.Way, "cycles", r.Ns.Times(tsc), $"{r.Ns.Mean / own:N0}");
                AddLine(table, style, $"{r.Ns.Count:N0} times", "ns", r.Ns, "");
            }

            BenchConsole.Tables.Write(table);
        }

        BenchConsole.Tables.MarkupLine($"[grey]Cycles of the time stamp counter, {tsc:F2} GHz. Ratio: of means, to the RPAL call's. Time stamps included (25 cycles each); without: rpal bench call.[/]");
    }

    private static void AddLine(Table table, string style, string way, string unit, Statistics s, string ratio)
    {
        string Cell(string text) => $"[{style}]{text}[/]";
        table.AddRow(Cell(way), Cell(unit), Cell($"{s.Mean:N0}"), Cell($"{s.P50:N0}"), Cell($"{s.P99:N0}"), Cell($"{s.P999:N0}"), Cell(ratio));
    }
}
