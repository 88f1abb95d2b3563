using System.Diagnostics;
using System.Text.Json.Nodes;
using Rpal.Cli.Bench;
using Rpal.Hosting;

namespace Rpal.Cli.Torture;

/// <summary>One phase in a process of its own: warm up, note what the host holds, kill, stop all, compare.</summary>
internal static unsafe class TorturePhase
{
    private static readonly TimeSpan s_readyLimit = TimeSpan.FromSeconds(90), s_warmUp = TimeSpan.FromSeconds(2);

    public static int Run(TortureOptions options)
    {
        TortureArena* arena = TortureArena.Create();
        using var family = new TortureFamily(arena, options);
        var watch = new HangWatch(arena, family);
        var storm = new SignalStorm(family, options.Seed);
        var killer = new RandomKiller(family, options.Seed);
        var points = new PointKiller(family, options);
        try
        {
            family.Start();
            AwaitReady(family);
        }
        catch (Exception e) when (e is MemberStartException or AggregateException { InnerException: MemberStartException })
        {
            PeerProtocol.Result(new { problem = e.Message });
            return 1;
        }

        watch.Start();
        storm.Start();
        Pace.Run(s_warmUp);
        for (int i = 0; i < 2 * family.Members.Count && !family.Failed;)
        {
            i += killer.TryKill(i % 2 == 0) ? 1 : 0;             // code that only deaths reach is compiled, arenas are touched
            Pace.BetweenLooks();
        }

        AwaitReady(family);
        family.StopMembers();
        _ = TortureReport.Of(arena, family, storm, killer, points, Baseline.Take(), default, default, options).ToJsonString();     // its code is loaded
        PeerProtocol.Progress(0);
        Baseline before = Baseline.Take();
        family.ClearFigures();
        killer.KillsUnderLoad = 0;
        family.StartMembers();
        AwaitReady(family);
        long begin = Stopwatch.GetTimestamp();
        if (options.Inject)
        {
            points.Run(PeerProtocol.Progress);
        }
        else
        {
            killer.Run(TimeSpan.FromSeconds(options.Seconds), PeerProtocol.Progress);
        }

        TimeSpan took = Stopwatch.GetElapsedTime(begin);
        AwaitReady(family);                                      // what was killed last comes back too
        family.StopMembers();
        storm.Stop();
        watch.Stop();
        Baseline after = Baseline.Take();
        string? dump = after.FreeSlots < before.FreeSlots || after.Services > before.Services ? watch.Dump() : null;
        family.End();
        JsonObject report = TortureReport.Of(arena, family, storm, killer, points, before, after, took, options);
        if (dump is not null)
        {
            report["details"]!.AsArray().Add(dump);
        }

        PeerProtocol.Result(report);
        return (bool)report["ok"]! ? 0 : 1;
    }

    private static void AwaitReady(TortureFamily family)
    {
        for (long begin = Stopwatch.GetTimestamp(); !family.Failed && !family.Members.All(m => m.IsReady); Pace.BetweenLooks())
        {
            if (Stopwatch.GetElapsedTime(begin) > s_readyLimit)
            {
                family.Hang($"not ready: {string.Join(", ", family.Members.Where(m => !m.IsReady).Select(m => m.Name))}");
                return;
            }
        }
    }
}
