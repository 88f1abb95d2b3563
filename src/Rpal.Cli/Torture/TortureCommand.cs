using System.CommandLine;
using System.Diagnostics;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rpal.Cli.Bench;

namespace Rpal.Cli.Torture;

/// <summary><c>rpal torture</c>: kills members at random instants and at every numbered point, and looks for wrong answers, hangs, crashes and leaks.</summary>
internal static class TortureCommand
{
    /// <summary>A week.</summary>
    private const double SecondsLimit = 604_800;

    private static readonly JsonSerializerOptions s_indented = new() { WriteIndented = true };

    public static Command Create()
    {
        var json = new Option<bool>("--json") { Description = "Print one JSON object and nothing else." };
        var seconds = new Option<double>("--seconds") { Description = "How long members are killed at random instants.", DefaultValueFactory = _ => 60 };
        var seed = new Option<ulong>("--seed") { Description = "Where all random choices come from.", DefaultValueFactory = _ => 1 };
        var kills = new Option<string>("--kills") { Description = "random, points or both.", DefaultValueFactory = _ => "both" };
        kills.AcceptOnlyFromAmong("random", "points", "both");
        var perPoint = new Option<int>("--per-point") { Description = "Kills at each numbered point.", DefaultValueFactory = _ => 4 };
        var callers = new Option<int>("--callers") { Description = "Processes that call.", DefaultValueFactory = _ => 3 };
        var callees = new Option<int>("--callees") { Description = "Processes that serve.", DefaultValueFactory = _ => 3 };
        var trace = new Option<bool>("--trace") { Description = "Trace members all their life, so that no callee loses a receiver." };
        var point = new Option<string>("--point") { Description = "Only these points, with commas between them.", DefaultValueFactory = _ => "" };
        foreach (Option<int> count in (Option<int>[])[callers, callees])
        {
            count.Validators.Add(r =>
            {
                if (r.IsOutside(1, TortureArena.GroupCapacity))
                {
                    r.AddError($"{count.Name}: 1 to {TortureArena.GroupCapacity}.");
                }
            });
        }

        perPoint.Validators.Add(r =>
        {
            if (r.IsOutside(1, int.MaxValue))
            {
                r.AddError("--per-point: 1 or more.");
            }
        });
        seconds.Validators.Add(r =>
        {
            if (r.IsOutside<double>(1, SecondsLimit))
            {
                r.AddError($"--seconds: 1 to {SecondsLimit}.");
            }
        });
        point.Validators.Add(r =>
        {
            string[] known = [.. PointKiller.Names()], unknown = [.. (r.GetValueOrDefault<string>() ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries).Except(known)];
            if (unknown.Length > 0)
            {
                r.AddError($"--point: there is no {string.Join(", ", unknown)}. Points: {string.Join(' ', known)}.");
            }
        });

        var command = new Command("torture", "Kill processes that call each other, again and again, and look for wrong answers, hangs, crashes and leaks.") { seconds, seed, kills, perPoint, point, callers, callees, trace, json };
        command.SetAction(parsed =>
        {
            string[] phases = parsed.GetValue(kills) == "both" ? ["random", "points"] : [parsed.GetValue(kills)!];
            return Run([.. phases.Select(p => new TortureOptions(p, parsed.GetValue(seconds), parsed.GetValue(seed), parsed.GetValue(perPoint),
                parsed.GetValue(callers), parsed.GetValue(callees), parsed.GetValue(trace), parsed.GetValue(point) ?? ""))], parsed.GetValue(json));
        });
        return command;
    }

    private static async Task<int> Run(TortureOptions[] phases, bool json)
    {
        JsonObject all = [];
        bool ok = true;
        foreach (TortureOptions phase in phases)
        {
            JsonObject? result = json ? await RunPhase(phase, static _ => { }).ConfigureAwait(false)
                : await BenchProgress.ShowAsync($"kills: {phase.Phase}", p => RunPhase(phase, p)).ConfigureAwait(false);
            ok &= (bool?)result?["ok"] ?? false;
            all[phase.Phase] = result ?? new JsonObject { ["ok"] = false, ["problem"] = "The host of this phase gave no result: it died." };
        }

        all["ok"] = ok;
        if (json)
        {
            Console.WriteLine(all.ToJsonString(s_indented));
        }
        else
        {
            TortureView.Show(all, [.. phases.Select(p => p.Phase)], BenchConsole.Tables);
        }

        return ok ? 0 : 1;
    }

    private static async Task<JsonObject?> RunPhase(TortureOptions options, Action<double> progress)
    {
        (string command, string[] arguments) = TortureRoles.Phase(options);
        using Process host = Process.Start(new ProcessStartInfo(command, arguments) { RedirectStandardOutput = true })!;
        JsonObject? result = null;
        while (await host.StandardOutput.ReadLineAsync().ConfigureAwait(false) is { } line)
        {
            result = PeerProtocol.Read(Encoding.UTF8.GetBytes(line), progress) ?? result;
        }

        await host.WaitForExitAsync().ConfigureAwait(false);
        result?.Remove("phase");
        return result?.DeepClone().AsObject();
    }
}
