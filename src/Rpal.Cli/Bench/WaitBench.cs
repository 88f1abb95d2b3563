using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using Rpal.Linux;
using Rpal.Memory.Segments;
using Rpal.Memory.Waiting;

namespace Rpal.Cli.Bench;

/// <summary>Wake-to-run between two processes, and what waiting for any of many costs.</summary>
internal static class WaitBench
{
    /// <summary>Ways to wake another process.</summary>
    public static readonly string[] Ways = ["semaphore", "semaphore_adaptive", "eventfd", "pipe", "socket"];

    private static readonly int[] s_members = [1, 8, 64, 128, 1000];

    private const int Batches = 15, BatchWaits = 2_000;

    public static async Task<JsonObject> RunAsync(Action<double> progress)
    {
        var figures = new JsonObject();
        (string Name, int Cpu)[] places = [("same_cpu", BenchFigures.FirstCpu), ("other_cpu", BenchFigures.LastCpu)];
        double step = 0, steps = Ways.Length * places.Length + 1;
        foreach ((string place, int cpu) in places)
        {
            foreach (string way in Ways)
            {
                JsonObject result = await PairAsync(way, cpu).ConfigureAwait(false);
                figures[$"{way}_wake_ns_{place}"] = Math.Round(BenchFigures.Number(result, "oneWayNs", "P50"));
                figures[$"{way}_wake_p99_ns_{place}"] = Math.Round(BenchFigures.Number(result, "oneWayNs", "P99"));
                progress(++step / steps);
            }
        }

        await Task.Run(() => WaitAny(figures)).ConfigureAwait(false);
        figures["wake_rounds"] = WaitRoles.Rounds;
        figures["wait_any_batches"] = Batches;
        figures["wait_any_per_batch"] = BatchWaits;
        return figures;
    }

    /// <summary>Two processes on the given CPUs, the first on the first.</summary>
    private static async Task<JsonObject> PairAsync(string way, int cpu)
    {
        (string command, string[] arguments) = SelfCommand.For("wait-waker", way, BenchFigures.FirstCpu.ToString(), cpu.ToString());
        using Process waker = Process.Start(new ProcessStartInfo(command, arguments) { RedirectStandardOutput = true })!;
        JsonObject? result = null;
        while (await waker.StandardOutput.ReadLineAsync().ConfigureAwait(false) is { } line)
        {
            result = PeerProtocol.Read(Encoding.UTF8.GetBytes(line), static _ => { }) ?? result;
        }

        await waker.WaitForExitAsync().ConfigureAwait(false);
        return result ?? throw new BenchFailedException($"The waker of '{way}' gave no result.");
    }

    /// <summary>One token comes at a random member, and is waited for: nobody sleeps. Beside it one look of futex_waitv(2) at as many words, which a wait without a set pays.</summary>
    private static void WaitAny(JsonObject figures)
    {
        using var segment = Segment.Create(4 << 20);
        SharedSemaphore[] all = SharedSemaphore.CreateMany(segment, s_members.Max());
        int seats = SemaphoreSet.CreateSeats(segment, 1, s_members.Max());
        foreach (int members in s_members)
        {
            SharedSemaphore[] some = all[..members];
            using SemaphoreSet set = SemaphoreSet.Join(segment, seats);
            Array.ForEach(some, set.Add);
            bool any = members <= SharedSemaphore.WaitAnyLimit;
            List<double> bySet = [], byAny = [], byWaitv = [], release = [];
            for (int batch = -1; batch < Batches; batch++)
            {
                double alone = Batch(some, s => s.TryWait(), members);
                double withSet = Batch(some, _ => set.WaitAny(TimeSpan.FromSeconds(1), out SharedSemaphore? _), members);
                double withAny = any ? Batch(some, _ => SharedSemaphore.WaitAny(some, TimeSpan.FromSeconds(1), out int _), members) : 0;
                double waitv = any ? Waitv(some) : 0;
                if (batch >= 0)
                {
                    release.Add(alone);
                    bySet.Add(withSet);
                    byAny.Add(withAny);
                    byWaitv.Add(waitv);
                }
            }

            figures[$"release_take_ns_{members}"] = Math.Round(Statistics.Median(release), 1);
            figures[$"set_wait_any_ns_{members}"] = Math.Round(Statistics.Median(bySet), 1);
            if (any)
            {
                figures[$"few_wait_any_ns_{members}"] = Math.Round(Statistics.Median(byAny), 1);
                figures[$"waitv_wait_any_ns_{members}"] = Math.Round(Statistics.Median(byWaitv), 1);
            }
        }
    }

    private static double Batch(SharedSemaphore[] some, Func<SharedSemaphore, WaitStatus> wait, int members)
    {
        uint next = 1;
        long began = Stopwatch.GetTimestamp();
        for (int i = 0; i < BatchWaits; i++)
        {
            next = next * 1664525 + 1013904223;
            SharedSemaphore s = some[(next >> 8) % (uint)members];
            if (s.Release() != ReleaseStatus.Released || wait(s) != WaitStatus.Acquired)
            {
                throw new BenchFailedException("A token did not come.");
            }
        }

        return Stopwatch.GetElapsedTime(began).TotalNanoseconds / BatchWaits;
    }

    /// <summary>The last word has changed already: the call sets all up, finds that and comes back. Nobody sleeps.</summary>
    private static unsafe double Waitv(SharedSemaphore[] some)
    {
        const int calls = 200;
        FutexWaitv* words = stackalloc FutexWaitv[some.Length];
        for (int i = 0; i < some.Length; i++)
        {
            words[i] = new FutexWaitv { Word = (ulong)&some[i].Block->Count, Flags = FutexWaitv.Size32 };
        }

        words[some.Length - 1].Expected = 1;
        long began = Stopwatch.GetTimestamp();
        for (int i = 0; i < calls; i++)
        {
            _ = Sys.FutexWaitv(words, some.Length, -1);
        }

        return Stopwatch.GetElapsedTime(began).TotalNanoseconds / calls;
    }
}
