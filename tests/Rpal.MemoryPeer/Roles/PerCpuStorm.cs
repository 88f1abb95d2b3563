using Rpal.Linux;
using Rpal.Memory.Blocks;
using Rpal.Memory.PerCpu;
using Rpal.Memory.Segments;

namespace Rpal.MemoryPeer.Roles;

/// <summary>Threads that count and pass nodes around, while others move them between CPUs and signal them. What they did is exactly known.</summary>
/// <remarks>Words: part of the counter, part of the list (lines, links, owners), nodes, milliseconds, workers.</remarks>
internal static unsafe class PerCpuStorm
{
    private const int Signal = 45, OutstandingLimit = 8, HeldLimit = 4, PoolRounds = 200;
    private static readonly List<int> s_tids = [];
    private static bool s_stop;
    private static long s_added, s_taken, s_shared, s_moves, s_sent;

    public static int Run(Peer peer)
    {
        using Segment segment = peer.Receive(requireSharedAddress: false);
        PerCpuNative.Install(Signal);
        PerCpuCounter counter = PerCpuCounter.Open(segment, peer.Number(0));
        uint nodes = (uint)peer.Number(2);
        byte* at = segment.Find(peer.Number(1), PartKind.Bytes).Address;
        byte* links = at + PerCpuList.BytesOfLines;
        var list = new PerCpuList((nint)at, (nint)links, nodes);
        nint owners = (nint)(links + nodes * sizeof(uint));
        Trouble(peer.Number(3), peer.Number(4), () => Work(counter, list, (uint*)owners));
        Peer.Say($"sections {PerCpuSections.AreUsed} added {s_added} taken {s_taken} shared {s_shared} moves {s_moves} signals {s_sent}");
        return 0;
    }

    /// <summary>Words: milliseconds, workers. The pool is part 0: everything at random, and all is given back at the end.</summary>
    public static int RunPool(Peer peer)
    {
        using Segment segment = peer.Receive(requireSharedAddress: false);
        PerCpuNative.Install(Signal);
        BlockPool pool = BlockPool.Open(segment, 0);
        long rounds = 0;
        Trouble(peer.Number(0), peer.Number(1), () =>
        {
            for (int seed = Sys.GetTid(); !Volatile.Read(ref s_stop); Interlocked.Add(ref rounds, PoolRounds))
            {
                BlockChurn.Run(pool, segment.Self, PoolRounds, seed);
            }
        });
        Peer.Say($"sections {PerCpuSections.AreUsed} rounds {rounds} moves {s_moves} signals {s_sent}");
        return 0;
    }

    /// <summary>Workers that are moved between CPUs and signalled all the time.</summary>
    private static void Trouble(int milliseconds, int count, Action work)
    {
        Thread[] workers = [.. Enumerable.Range(0, count).Select(_ => new Thread(() => Known(work)))];
        Thread[] troublers = [new Thread(Move), new Thread(Send)];
        Array.ForEach(workers, w => w.Start());
        Array.ForEach(troublers, t => t.Start());
        Thread.Sleep(milliseconds);
        Volatile.Write(ref s_stop, true);
        Peer.Ends([.. troublers, .. workers]);
    }

    private static void Known(Action work)
    {
        lock (s_tids)
        {
            s_tids.Add(Sys.GetTid());
        }

        work();
    }

    private static void Work(PerCpuCounter counter, PerCpuList list, uint* owners)
    {
        Span<uint> held = stackalloc uint[HeldLimit];
        var random = new Random(Sys.GetTid());
        long added = 0, taken = 0, shared = 0;
        while (!Volatile.Read(ref s_stop))
        {
            for (int i = 0; i < 100; i++, added++)
            {
                counter.Add(1);
            }

            int want = random.Next(HeldLimit) + 1, have = 0;
            while (have < want && list.TryPop(out uint node) == PerCpuPop.Taken)
            {
                shared += Interlocked.Increment(ref owners[node]) == 1 ? 0 : 1;
                held[have++] = node;
            }

            for (taken += have; have > 0;)
            {
                Interlocked.Decrement(ref owners[held[--have]]);
                while (!list.TryPush(held[have]))
                {
                    Thread.Yield();
                }
            }
        }

        Interlocked.Add(ref s_added, added);
        Interlocked.Add(ref s_taken, taken);
        Interlocked.Add(ref s_shared, shared);
    }

    /// <summary>sched_setaffinity: to one CPU, to another.</summary>
    private static void Move()
    {
        _ = Sys.SchedGetAffinity(0, out ulong all);
        int[] cpus = [.. Enumerable.Range(0, 64).Where(c => (all >> c & 1) != 0)];
        var random = new Random(1);
        while (!Volatile.Read(ref s_stop))
        {
            if (Pick(random) is { } tid && Sys.SchedSetAffinity(tid, 1ul << cpus[random.Next(cpus.Length)]) >= 0)
            {
                s_moves++;
            }

            Thread.SpinWait(random.Next(200));
        }
    }

    /// <summary>Real-time signals, paced by their handler: they queue.</summary>
    private static void Send()
    {
        var random = new Random(2);
        int pid = Sys.GetPid();
        while (!Volatile.Read(ref s_stop))
        {
            if (s_sent - (long)PerCpuNative.Handled > OutstandingLimit)
            {
                Thread.Yield();
            }
            else if (Pick(random) is { } tid && Sys.Tgkill(pid, tid, Signal) >= 0)
            {
                s_sent++;
            }
        }
    }

    private static int? Pick(Random random)
    {
        lock (s_tids)
        {
            return s_tids.Count == 0 ? null : s_tids[random.Next(s_tids.Count)];
        }
    }
}
