using System.Diagnostics;
using System.Text.Json.Nodes;
using Rpal.Hosting;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Cli.Bench;

/// <summary>The benchmarks by name. Each returns one JSON object; ratios are of figures taken in the same run.</summary>
internal static class BenchFigures
{
    private const int SocketMessages = 40_000, SocketCrossMessages = 20_000;

    /// <summary>Name, what it measures, how.</summary>
    public static readonly (string Name, string Description, Func<Action<double>, Task<JsonObject>> Run)[] All =
    [
        ("call", "round trip of a call, with and without time accounting, beside the floor (the emitted call routine in an emitted loop, empty handler) and a Unix socket with epoll", Call),
        ("lazy", "a handler that makes a system call: handed over, or run in place; beside a Unix socket", Lazy),
        ("scale", "calls per second, one and two senders into two receivers", Scale),
        ("blocks", "blocks allocated and freed per second: one thread, two threads, two processes, without and with per-CPU lists; beside a list under a lock and ArrayPool", BlockFigures.RunAsync),
        ("start", "start to end of a hello program, as member and as plain process", Start),
        ("ownership", OwnershipFigures.Description, OwnershipFigures.Run),
        ("percpu", "seed 004's table: add to a plain word, with lock cmpxchg, in a per-CPU section; the CPU's number; from C# and as bare loops", PerCpuFigures.Run),
        ("wait", "wake-to-run of a semaphore, beside eventfd, pipe and Unix socket, on the same and another CPU; waiting for any of 1 to 1,000", WaitBench.RunAsync),
    ];

    /// <summary>Cycles of the time stamp counter per nanosecond, as the family's host measured it.</summary>
    public static unsafe double TscPerNs => FamilyHeader.At->TscPerSecond / 1e9;

    private static async Task<JsonObject> Call(Action<double> progress)
    {
        JsonObject f = await BenchRunner.FamilyAsync("call", p => progress(p * 0.6)).ConfigureAwait(false);
        JsonObject same = await BenchRunner.SocketAsync(FirstCpu, FirstCpu, SocketMessages, p => progress(0.6 + p * 0.2)).ConfigureAwait(false);
        JsonObject cross = await BenchRunner.SocketAsync(FirstCpu, LastCpu, SocketCrossMessages, p => progress(0.8 + p * 0.2)).ConfigureAwait(false);
        double call = Number(f, "call"), socket = Number(same, "roundTripNs", "P50") * TscPerNs, socketCross = Number(cross, "roundTripNs", "P50") * TscPerNs;
        return Rounded(new()
        {
            ["call_rtt_cycles"] = call,
            ["call_rtt_cycles_accounted"] = Number(f, "accounted"),
            ["accounting_cycles"] = Number(f, "accounted") - call,
            ["floor_rtt_cycles"] = Number(f, "floor"),
            ["socket_rtt_cycles"] = socket,
            ["socket_cross_rtt_cycles"] = socketCross,
            ["one_way_cycles"] = Number(f, "oneWay"),
            ["socket_one_way_cycles"] = Number(same, "oneWayNs", "P50") * TscPerNs,
            ["ratio_to_floor"] = Number(f, "ratio"),
            ["ratio_to_socket"] = socket / call,
            ["ratio_to_socket_cross"] = socketCross / call,
            ["call_rtt_ns"] = call / TscPerNs,
            ["tsc_ghz"] = TscPerNs,
            ["batches"] = CallRoles.Batches,
            ["calls_per_batch"] = CallRoles.BatchCalls,
        });
    }

    private static async Task<JsonObject> Lazy(Action<double> progress)
    {
        JsonObject f = await BenchRunner.FamilyAsync("lazy", p => progress(p * 0.6)).ConfigureAwait(false);
        JsonObject same = await BenchRunner.SocketAsync(FirstCpu, FirstCpu, SocketMessages, p => progress(0.6 + p * 0.2)).ConfigureAwait(false);
        JsonObject cross = await BenchRunner.SocketAsync(FirstCpu, LastCpu, SocketCrossMessages, p => progress(0.8 + p * 0.2)).ConfigureAwait(false);
        double lazy = Number(f, "lazy"), inPlace = Number(f, "inPlace"), socket = Number(same, "roundTripNs", "P50"), socketCross = Number(cross, "roundTripNs", "P50");
        return Rounded(new()
        {
            ["lazy_rtt_ns"] = lazy,
            ["inplace_rtt_ns"] = inPlace,
            ["socket_rtt_ns"] = socketCross,
            ["socket_same_core_rtt_ns"] = socket,
            ["ratio_socket_to_lazy"] = socketCross / lazy,
            ["ratio_socket_to_inplace"] = socketCross / inPlace,
            ["ratio_lazy_to_inplace"] = lazy / inPlace,
        });
    }

    private static async Task<JsonObject> Scale(Action<double> progress)
    {
        JsonObject f = await BenchRunner.FamilyAsync("scale", progress).ConfigureAwait(false);
        return Rounded(new()
        {
            ["calls_per_second_1"] = Number(f, "one"),
            ["calls_per_second_2"] = Number(f, "two"),
            ["ratio_2_to_1"] = Number(f, "ratio"),
            ["cpus"] = Environment.ProcessorCount,
        });
    }

    /// <summary>In turns, so that both see the same machine. The first pair warms up and is not counted.</summary>
    private static Task<JsonObject> Start(Action<double> progress) => Task.Run(() =>
    {
        const int rounds = 31;
        List<double> plain = [], member = [], ratios = [];
        (string command, string[] arguments) = SelfCommand.For("hello");
        var starts = new MemberStarts(new MemberDefinition { Name = "hello", Command = command, Arguments = arguments });
        for (int i = 0; i <= rounds; i++)
        {
            long begin = Stopwatch.GetTimestamp();
            using (Process p = BenchRunner.Start("hello"))
            {
                _ = p.StandardOutput.ReadToEnd();
                p.WaitForExit();
            }

            double plainMs = Stopwatch.GetElapsedTime(begin).TotalMilliseconds;
            double memberMs = starts.RunOnce().TotalMilliseconds;
            if (i > 0)
            {
                plain.Add(plainMs);
                member.Add(memberMs);
                ratios.Add(memberMs / plainMs);
            }

            progress((i + 1.0) / (rounds + 1));
        }

        return Rounded(new()
        {
            ["plain_ms"] = Statistics.Median(plain),
            ["member_ms"] = Statistics.Median(member),
            ["ratio"] = Statistics.Median(ratios),
            ["starts"] = rounds,
        });
    });

    /// <summary>The first CPU that this process may use.</summary>
    public static int FirstCpu => System.Numerics.BitOperations.TrailingZeroCount(Math.Max(1, Sys.SchedGetAffinity(0)));

    /// <summary>The last CPU that this process may use: another than the first where there is one.</summary>
    public static int LastCpu => 63 - System.Numerics.BitOperations.LeadingZeroCount((ulong)Math.Max(1, Sys.SchedGetAffinity(0)));

    public static double Number(JsonObject from, params string[] path)
    {
        JsonNode? node = from;
        foreach (string name in path)
        {
            node = node?[name];
        }

        return (double)(node ?? throw new BenchFailedException($"A benchmark's process did not report {string.Join('.', path)}."));
    }

    public static JsonObject Rounded(Dictionary<string, double> figures) =>
        new(figures.Select(f => KeyValuePair.Create(f.Key, (JsonNode?)Math.Round(f.Value, Math.Abs(f.Value) < 100 ? 3 : 1))));
}
