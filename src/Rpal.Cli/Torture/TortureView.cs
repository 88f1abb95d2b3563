using System.Text.Json.Nodes;
using Rpal.Cli.Bench;
using Spectre.Console;

namespace Rpal.Cli.Torture;

/// <summary>The figures of all phases for people: a table, what went wrong, and one line that says whether it passed.</summary>
internal static class TortureView
{
    /// <summary>Figures that are said below the table or in a row of their own.</summary>
    private static readonly string[] s_apart = ["ok", "details", "problem", "leaks", "doubts"];

    /// <param name="all">An object per phase.</param>
    /// <param name="phases">Their names, in order.</param>
    /// <param name="console">Where to.</param>
    public static void Show(JsonObject all, string[] phases, IAnsiConsole console)
    {
        Table table = new Table().AddColumn("figure");
        foreach (string phase in phases)
        {
            table.AddColumn(new TableColumn(phase).RightAligned());
        }

        foreach (string figure in phases.SelectMany(p => all[p]!.AsObject().Select(f => f.Key)).Distinct().Except(s_apart))
        {
            table.AddRow([Markup.Escape(figure.Replace('_', ' ')), .. phases.Select(p => Markup.Escape(Text(all[p]![figure])))]);
        }

        console.Write(table);
        foreach (string phase in phases)
        {
            string[] lines = [.. Texts(all[phase]!["leaks"]).Select(l => $"leak: {l}"), .. Texts(all[phase]!["details"]), .. all[phase]!["problem"] is { } p ? (string[])[$"{p}"] : []];
            foreach (string line in lines)
            {
                console.WriteLine($"{phase}: {line.TrimEnd()}");
            }
        }

        (bool passed, string verdict) = Verdict(all, phases);
        console.MarkupLine($"[{(passed ? "green" : "red bold")}]{Markup.Escape(verdict)}[/]");
    }

    /// <summary>"torture: 120 kills, 0 wrong answers, 0 hangs, 0 crashes, 0 leaks: passed", or "FAILED: " and what of it.</summary>
    public static (bool Passed, string Text) Verdict(JsonObject all, string[] phases)
    {
        long kills = Sum("kills_callee") + Sum("kills_caller");
        (long Count, string What)[] faults = [(Sum("wrong_answers"), "wrong answers"), (Sum("hangs"), "hangs"), (Sum("crashes"), "crashes"), (phases.Sum(p => Texts(all[p]!["leaks"]).Count()), "leaks")];
        string told = $"torture: {kills} kills, {string.Join(", ", faults.Select(f => $"{f.Count} {f.What}"))}";
        if ((bool?)all["ok"] == true)
        {
            return (true, $"{told}: passed");
        }

        string[] why =
        [
            .. faults.Where(f => f.Count > 0).Select(f => $"{f.Count} {f.What}"),
            .. phases.Where(p => all[p]!["problem"] is not null).Select(p => $"{p}: {all[p]!["problem"]}"),
            .. phases.SelectMany(p => Texts(all[p]!["doubts"]).Select(d => $"{p}: {d}")),
        ];
        return (false, $"{told}: FAILED: {(why.Length > 0 ? string.Join("; ", why) : "see above")}");

        long Sum(string figure) => phases.Sum(p => Number(all[p]![figure]));
    }

    private static long Number(JsonNode? node) => node is JsonValue v ? (long)Convert.ToDouble(v.ToString(), System.Globalization.CultureInfo.InvariantCulture) : 0;

    private static IEnumerable<string> Texts(JsonNode? node) => node is JsonArray list ? list.Select(e => $"{e}") : [];

    /// <summary>Objects as "name value, name value"; those with many numbers as their sum.</summary>
    private static string Text(JsonNode? node)
    {
        const int most = 8;
        return node switch
        {
            null => "",
            JsonArray list => list.Count == 0 ? "none" : string.Join(", ", list.Select(Text)),
            JsonObject { Count: 0 } => "none",
            JsonObject { Count: > most } o => $"{o.Sum(f => Number(f.Value))} at {o.Count} points",
            JsonObject o => string.Join('\n', o.Select(f => $"{f.Key.Replace('_', ' ')} {Text(f.Value)}")),
            JsonValue v when v.TryGetValue(out bool flag) => flag ? "yes" : "no",
            _ => $"{node}",
        };
    }
}
