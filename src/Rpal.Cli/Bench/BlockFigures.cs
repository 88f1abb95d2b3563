using System.Diagnostics;
using System.Text.Json.Nodes;
using Rpal.Linux;
using Rpal.Memory.Blocks;
using Rpal.Memory.PerCpu;
using Rpal.Memory.Segments;

namespace Rpal.Cli.Bench;

/// <summary><c>rpal bench blocks</c>: allocate and free, by one thread, two threads, two processes; beside a list under a lock and the runtime's array pool.</summary>
internal static class BlockFigures
{
    public const int BlockBytes = 4096, Blocks = 1024;

    private const int Batches = 31, BatchPairs = 100_000, WarmUpBatches = 10;

    public static Task<JsonObject> RunAsync(Action<double> progress) => Task.Run(() => Run(progress));

    private static JsonObject Run(Action<double> progress)
    {
        using Segment segment = BlockBench.Make(out BlockPool plain, out BlockPool atomics, out BlockPool sections);
        using var peer = new BlockBenchPeer(segment);
        var rows = new Dictionary<string, Func<double>>
        {
            ["pool_pairs_per_s_1_thread"] = () => OneThread(() => BlockBench.Pairs(plain, BatchPairs)),
            ["pool_cached_atomics_pairs_per_s_1_thread"] = () => OneThread(() => BlockBench.Pairs(atomics, BatchPairs)),
            ["pool_cached_pairs_per_s_1_thread"] = () => OneThread(() => BlockBench.Pairs(sections, BatchPairs)),
            ["mutex_pairs_per_s_1_thread"] = () => OneThread(() => BlockBench.MutexPairs(BatchPairs)),
            ["arraypool_pairs_per_s_1_thread"] = () => OneThread(() => BlockBench.ArrayPoolPairs(BatchPairs)),
            ["pool_pairs_per_s_2_threads"] = () => TwoThreads(() => BlockBench.Pairs(plain, BatchPairs)),
            ["pool_cached_atomics_pairs_per_s_2_threads"] = () => TwoThreads(() => BlockBench.Pairs(atomics, BatchPairs)),
            ["pool_cached_pairs_per_s_2_threads"] = () => TwoThreads(() => BlockBench.Pairs(sections, BatchPairs)),
            ["mutex_pairs_per_s_2_threads"] = () => TwoThreads(() => BlockBench.MutexPairs(BatchPairs)),
            ["arraypool_pairs_per_s_2_threads"] = () => TwoThreads(() => BlockBench.ArrayPoolPairs(BatchPairs)),
            ["pool_pairs_per_s_2_processes"] = () => peer.Measure(plain, BatchPairs),
            ["pool_cached_atomics_pairs_per_s_2_processes"] = () => peer.Measure(atomics, BatchPairs),
            ["pool_cached_pairs_per_s_2_processes"] = () => peer.Measure(sections, BatchPairs),
        };
        Dictionary<string, List<double>> rates = rows.Keys.ToDictionary(k => k, _ => new List<double>());
        for (int batch = -WarmUpBatches; batch < Batches; batch++)                  // in turns, so that all see the same machine
        {
            foreach ((string name, Func<double> measure) in rows)
            {
                double rate = measure();
                if (batch >= 0)
                {
                    rates[name].Add(rate);
                }
            }

            progress((batch + WarmUpBatches + 1.0) / (WarmUpBatches + Batches));
        }

        var figures = new JsonObject(rates.Select(r => KeyValuePair.Create(r.Key, (JsonNode?)Math.Round(Statistics.Median(r.Value)))));
        foreach (string who in (string[])["1_thread", "2_threads", "2_processes"])
        {
            double cached = BenchFigures.Number(figures, $"pool_cached_pairs_per_s_{who}");
            figures[$"percpu_to_atomics_{who}"] = Math.Round(cached / BenchFigures.Number(figures, $"pool_cached_atomics_pairs_per_s_{who}"), 3);
            figures[$"cached_to_pool_{who}"] = Math.Round(cached / BenchFigures.Number(figures, $"pool_pairs_per_s_{who}"), 3);
        }

        figures["sections"] = PerCpuSections.AreUsed;
        figures["block_bytes"] = BlockBytes;
        figures["batches"] = Batches;
        figures["pairs_per_batch"] = BatchPairs;
        return figures;
    }

    private static double OneThread(Action pairs)
    {
        double seconds = 0;
        var thread = new Thread(() => seconds = Timed(BenchFigures.FirstCpu, pairs));
        thread.Start();
        thread.Join();
        return BatchPairs / seconds;
    }

    private static double TwoThreads(Action pairs)
    {
        using var start = new Barrier(2);
        double[] seconds = new double[2];
        Thread[] threads = [.. Enumerable.Range(0, 2).Select(i => new Thread(() =>
        {
            start.SignalAndWait();
            seconds[i] = Timed(i == 0 ? BenchFigures.FirstCpu : BenchFigures.LastCpu, pairs);
        }))];
        Array.ForEach(threads, t => t.Start());
        Array.ForEach(threads, t => t.Join());
        return 2 * BatchPairs / seconds.Max();
    }

    private static double Timed(int cpu, Action pairs)
    {
        _ = Sys.SchedSetAffinity(0, 1UL << cpu);
        long begin = Stopwatch.GetTimestamp();
        pairs();
        return Stopwatch.GetElapsedTime(begin).TotalSeconds;
    }
}
