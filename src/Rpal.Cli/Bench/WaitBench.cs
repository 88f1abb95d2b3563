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

    /// <summary>Of how many one is waited for.</summary>
    public static readonly int[] Members = [1, 8, 64, 128, 1000];

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

    /// <summary>One of N is released and waited for, in turns: nobody sleeps. All rows do the same: release, find which it is, take it.</summary>
    private static void WaitAny(JsonObject figures)
    {
        using var segment = Segment.Create(4 << 20);
        SharedSemaphore[] all = SharedSemaphore.CreateMany(segment, Members.Max());
        int seats = SemaphoreSet.CreateSeats(segment, 1, Members.Max());
        foreach (int members in Members.Concat(Members))     // once for the compiler: the first sizes would be measured with code that is not yet its best
        {
            SharedSemaphore[] some = all[..members];
            using SemaphoreSet set = SemaphoreSet.Join(segment, seats);
            using var descriptors = new EpollSet(members);
            Dictionary<string, Action<int>> rows = new()
            {
                // The release of a member rings a bell, so what is measured without the set must be measured without its members in it.
                ["release_take_ns"] = i => Must(some[i].Release() == ReleaseStatus.Released && some[i].TryWait() == WaitStatus.Acquired),
                ["epoll_wait_any_ns"] = i => Must(descriptors.WriteWaitRead(i) == i),
            };
            if (members <= SharedSemaphore.WaitAnyLimit)
            {
                rows["few_wait_any_ns"] = i => Must(some[i].Release() == ReleaseStatus.Released
                    && SharedSemaphore.WaitAny(some, Timeout.InfiniteTimeSpan, out int which) == WaitStatus.Acquired && which == i);
                rows["waitv_wait_any_ns"] = i => Must(some[i].Release() == ReleaseStatus.Released && WaitvThenTake(some) == i);
            }

            Dictionary<string, Action<int>> ofSet = new()
            {
                ["set_wait_any_ns"] = i => Must(some[i].Release() == ReleaseStatus.Released
                    && set.WaitAny(Timeout.InfiniteTimeSpan, out SharedSemaphore? which) == WaitStatus.Acquired && ReferenceEquals(which, some[i])),
            };
            Dictionary<string, List<double>> taken = rows.Keys.Concat(ofSet.Keys).ToDictionary(k => k, _ => new List<double>());
            for (int batch = -1; batch < Batches; batch++)
            {
                Batch(rows, members, batch < 0 ? null : taken);
                Array.ForEach(some, set.Add);
                while (set.TryWaitAny(out _) == WaitStatus.Acquired)
                {
                }

                Batch(ofSet, members, batch < 0 ? null : taken);
                Array.ForEach(some, s => set.Remove(s));
            }

            foreach ((string row, List<double> ns) in taken)
            {
                figures[$"{row}_{members}"] = Math.Round(Statistics.Median(ns), 1);
            }
        }
    }

    private static void Batch(Dictionary<string, Action<int>> rows, int members, Dictionary<string, List<double>>? taken)
    {
        foreach ((string row, Action<int> once) in rows)
        {
            uint next = 1;
            long began = Stopwatch.GetTimestamp();
            for (int i = 0; i < BatchWaits; i++)
            {
                next = next * 1664525 + 1013904223;
                once((int)((next >> 8) % (uint)members));
            }

            taken?[row].Add(Stopwatch.GetElapsedTime(began).TotalNanoseconds / BatchWaits);
        }
    }

    private static void Must(bool came)
    {
        if (!came)
        {
            throw new BenchFailedException("A token did not come, or at another place.");
        }
    }

    /// <summary>As one would without a set: futex_waitv(2) on all words, which finds that one has changed and does not say which; then a look at all.</summary>
    private static unsafe int WaitvThenTake(SharedSemaphore[] some)
    {
        FutexWaitv* words = stackalloc FutexWaitv[some.Length];
        for (int i = 0; i < some.Length; i++)
        {
            words[i] = new FutexWaitv { Word = (ulong)&some[i].Block->Count, Flags = FutexWaitv.Size32 };
        }

        _ = Sys.FutexWaitv(words, some.Length, -1);
        return Array.FindIndex(some, s => s.TryWait() == WaitStatus.Acquired);
    }

    /// <summary>What programs use today: an eventfd(2) for each, and epoll(7) over all.</summary>
    private sealed unsafe class EpollSet : IDisposable
    {
        private readonly int[] _eventFds;
        private readonly int _epoll;

        public EpollSet(int count)
        {
            _epoll = Checked(Sys.EpollCreate1(OpenFlags.CloseOnExec));
            _eventFds = new int[count];
            for (int i = 0; i < count; i++)
            {
                _eventFds[i] = Checked(Sys.EventFd(0, EventFdFlags.NonBlocking | EventFdFlags.CloseOnExec));
                EpollEvent wanted = new() { Events = EpollEvents.In, Data = (ulong)i };
                Checked(Sys.EpollCtl(_epoll, EpollOp.Add, _eventFds[i], &wanted));
            }
        }

        public int WriteWaitRead(int index)
        {
            ulong word = 1;
            Checked((int)Sys.Write(_eventFds[index], &word, sizeof(ulong)));
            EpollEvent came;
            Must(Sys.EpollWait(_epoll, &came, 1, -1) == 1);
            Checked((int)Sys.Read(_eventFds[(int)came.Data], &word, sizeof(ulong)));
            return (int)came.Data;
        }

        public void Dispose()
        {
            Array.ForEach(_eventFds, fd => _ = Sys.Close(fd));
            _ = Sys.Close(_epoll);
        }

        private static int Checked(int result) => result >= 0 ? result : throw new BenchFailedException($"An eventfd or epoll: {ErrnoText.Describe(result)}.");
    }
}
