using System.Text.Json;
using System.Text.Json.Nodes;

namespace Rpal.Cli.Torture;

/// <summary>The figures of one phase.</summary>
internal static unsafe class TortureReport
{
    /// <summary>Far above what is promised (10 ms, p99): a machine with busy CPUs must not fail a correct run.</summary>
    private static readonly TimeSpan s_peerDiedLimit = TimeSpan.FromSeconds(2);

    /// <summary>Kills that there may be for an answer: an answer is the work of two, and some are killed while they start.</summary>
    private const ulong AnswerShare = 3;

    /// <summary>Without one of these the run has not looked at what it says it looks at.</summary>
    private static readonly string[] s_seen = ["identities", "heirs", "pool_threads", "timer_threads", "continuations"];

    private static string[] Doubt(bool isThere, string what) => isThere ? [what] : [];

    /// <summary>The handler has gone home, and its sender sleeps; else it is inside, or waits for a receiver.</summary>
    private static bool IsAway(Deed deed) => deed is Deed.Sleep or Deed.File or Deed.NestedAtHome;

    private static JsonObject Figures((Deed Deed, double Ms)[] samples) =>
        new() { ["count"] = samples.Length, ["p50"] = At(samples, 0.5), ["p99"] = At(samples, 0.99), ["max"] = At(samples, 1) };

    private static double At((Deed Deed, double Ms)[] samples, double share)
    {
        double[] sorted = [.. samples.Select(s => s.Ms).Order()];
        return sorted.Length == 0 ? 0 : sorted[(int)Math.Min(sorted.Length - 1, sorted.Length * share)];
    }

    public static JsonObject Of(TortureArena* arena, TortureFamily family, SignalStorm storm, RandomKiller killer, PointKiller points, Baseline before, Baseline after, TimeSpan took, TortureOptions options)
    {
        Dictionary<string, ulong> sums = [];
        void Add(string name, ulong value) => sums[name] = sums.GetValueOrDefault(name) + value;
        long longest = 0;
        ulong wrong = 0, outcomes = 0;
        foreach (TortureMember m in family.Members)
        {
            for (int t = 0; !m.IsCallee && t < TortureOptions.Threads; t++)
            {
                CallPlace* c = TortureArena.Call(arena, m.Index, t);
                Add("calls", c->Calls);
                Add("answered", c->Answered);
                Add("busy", c->Busy);
                Add("peer_died", c->PeerDied);
                Add("closed", c->Closed);
                Add("remote_exceptions", c->RemoteExceptions);
                Add("canceled", c->Canceled);
                Add("caller_killed", c->Abandoned);
                Add("identities", c->Identities);
                Add("heirs", c->Heirs);
                Add("pool_threads", c->PoolThreads);
                Add("timer_threads", c->TimerThreads);
                Add("continuations", c->Continuations);
                wrong += c->Wrong;
                longest = Math.Max(longest, c->LongestNs);
                outcomes += c->Answered + c->Busy + c->PeerDied + c->Closed + c->RemoteExceptions + c->Canceled + c->Abandoned;
            }

            wrong += m.Place->Wrong;
            Add("nested_answered", m.Place->NestedAnswered);
            Add("nested_busy", m.Place->NestedBusy);
            Add("nested_peer_died", m.Place->NestedPeerDied);
            Add("nested_closed", m.Place->NestedClosed);
            Add("signals_handled", m.Place->SignalsHandled);
            Add("collections", m.Place->Collections);
            Add("services_churned", m.Place->Churned);
        }

        string[] leaks = [.. after.LeaksSince(before)];
        (Deed Deed, double Ms)[] samples = TortureArena.SamplesOf(arena);
        long unaccounted = (long)sums["calls"] - (long)outcomes;
        string[] doubts =
        [
            .. Doubt(family.KilledCallees + family.KilledCallers == 0, "nobody was killed"),
            .. Doubt(sums["answered"] * AnswerShare < (ulong)(family.KilledCallees + family.KilledCallers), "hardly an answer between kills: members were killed before they worked"),
            .. Doubt(unaccounted < 0 || unaccounted > family.KilledCallers * TortureOptions.Threads, $"{unaccounted} calls without an outcome, of {family.KilledCallers} killed callers"),
            .. Doubt(At(samples, 0.99) > s_peerDiedLimit.TotalMilliseconds, $"PeerDied came after {At(samples, 0.99)} ms (p99)"),
            .. Doubt(options.Trace && family.LostReceivers > 0, $"{family.LostReceivers} receivers lost although members were traced"),
            .. Doubt(s_seen.Any(name => sums[name] == 0), $"never seen: {string.Join(", ", s_seen.Where(name => sums[name] == 0))}"),
            .. Doubt(points.Missing().Any(), $"points with too few kills: {string.Join(", ", points.Missing())}"),
        ];
        bool ok = wrong == 0 && !family.Failed && leaks.Length == 0 && doubts.Length == 0;
        JsonObject report = new()
        {
            ["ok"] = ok,
            ["phase"] = options.Phase,
            ["seed"] = options.Seed,
            ["trace"] = options.Trace,
            ["seconds"] = Math.Round(took.TotalSeconds, 1),
            ["kills_callee"] = family.KilledCallees,
            ["kills_caller"] = family.KilledCallers,
            ["wrong_answers"] = wrong,
            ["hangs"] = family.Hangs.Count,
            ["crashes"] = family.Crashes.Count,
            ["lost_receivers"] = family.LostReceivers,
            ["restarts"] = family.Restarts,
            ["kills_under_load"] = options.Inject ? family.KilledCallees + family.KilledCallers : killer.KillsUnderLoad,
            ["unaccounted"] = unaccounted,
            ["longest_call_ms"] = longest / 1e6,
            ["peer_died_ms"] = Figures(samples),
            ["peer_died_ms_inside"] = Figures([.. samples.Where(s => !IsAway(s.Deed))]),
            ["peer_died_ms_away"] = Figures([.. samples.Where(s => IsAway(s.Deed))]),
            ["signals_sent"] = storm.Sent,
        };
        foreach ((string name, ulong value) in sums)
        {
            report[name] = value;
        }

        if (options.Inject)
        {
            report["kills_at_points"] = new JsonObject(points.Results.Select(p => KeyValuePair.Create(p.Point, (JsonNode?)p.Kills)));
            report["callers_at_points"] = new JsonObject(points.Results.Select(p => KeyValuePair.Create(p.Point, (JsonNode?)p[Victim.Caller])));
            report["their_callees_at_points"] = new JsonObject(points.Results.Select(p => KeyValuePair.Create(p.Point, (JsonNode?)p[Victim.Peer])));
            report["points_missing"] = JsonSerializer.SerializeToNode(points.Missing());
            report["not_reached"] = new JsonObject(points.Results.Where(p => p.NotReached > 0).Select(p => KeyValuePair.Create(p.Point, (JsonNode?)p.NotReached)));
        }

        report["doubts"] = JsonSerializer.SerializeToNode(doubts);
        report["leaks"] = JsonSerializer.SerializeToNode(leaks);
        report["before"] = JsonSerializer.SerializeToNode(before);
        report["after"] = JsonSerializer.SerializeToNode(after);
        report["details"] = JsonSerializer.SerializeToNode(TortureArena.TextsOf(arena).Concat(family.Crashes).Concat(family.Hangs));
        return report;
    }
}
