using Rpal.Linux;
using Rpal.Machine.Platform;
using Rpal.Memory.Blocks;
using Rpal.Memory.PerCpu;
using Rpal.Memory.Segments;

namespace Rpal.TestMember.Scenarios;

/// <summary>Handlers that count, pass nodes around and allocate and free blocks per CPU, executed by others' kernel threads and called home in the middle.</summary>
internal static unsafe class PerCpu
{
    private const int Count = 1, Quiet = 2, Stop = 3, Lazy = 4, Ended = 5, Nodes = 16;

    /// <summary>The runtime's activation signal: sent to a caller's thread, it calls the foreign context home.</summary>
    private const int Activation = 34;

    private static PerCpuCounter s_counter = null!;
    private static PerCpuList s_list;
    private static BlockPool s_pool = null!;
    private static readonly int[] s_holders = new int[Nodes];
    private static readonly int[] s_owners = new int[Nodes];
    private static bool s_stop, s_alone;
    private static long s_ownAdded, s_shared, s_ended;

    public static void Add(Dictionary<string, Func<string[], int>> scenarios)
    {
        scenarios.Add("serve-percpu", _ => Serve());
        scenarios.Add("percpu-storm", _ => Storm());
        scenarios.Add("percpu-dies-inside", args => DiesInside(int.Parse(args[0]), long.Parse(args[1])));
        scenarios.Add("percpu-goes-on", args => GoesOn(args[0], int.Parse(args[1]), long.Parse(args[2])));
    }

    private static int Serve()
    {
        s_counter = new PerCpuCounter();
        byte* memory = (byte*)System.Runtime.InteropServices.NativeMemory.AlignedAlloc((nuint)PerCpuList.BytesOfLines + Nodes * sizeof(uint), PerCpuLine.SizeBytes);
        new Span<byte>(memory, (int)PerCpuList.BytesOfLines).Clear();
        s_list = new PerCpuList((nint)memory, (nint)(memory + PerCpuList.BytesOfLines), Nodes);
        for (uint i = 0; i < Nodes; i++)
        {
            Check.That(s_list.TryPush(i));
        }

        var options = new BlockPoolOptions { BlockBytes = BlockPool.BlockGranularity, BlockCount = Nodes };
        using Segment segment = Segment.Create(Math.Max(Segment.LeastBytes, 2 * (Segment.HeaderBytes + BlockPool.LengthFor(options))));
        s_pool = BlockPool.Create(segment, options);
        Check.That(PerCpuSections.AreUsed, PerCpuSections.Missing);
        using var stop = new ManualResetEventSlim();
        RpalService service = RpalService.Register("percpu", new ServiceOptions { Receivers = 4 });
        var own = new Thread(() =>
        {
            for (; !Volatile.Read(ref s_stop); s_ownAdded++)
            {
                s_counter.Add(1);
                Pass();
            }
        });
        service.Handle<long, long>(Count, static (in q, ref a) =>
        {
            long rounds = q;
            a = 1;                                               // it is inside
            for (long i = 0; i < rounds; i++)
            {
                s_counter.Add(1);
                if (!s_alone)
                {
                    Pass();
                }
            }

            a = rounds;
            Interlocked.Increment(ref s_ended);
        });
        service.Handle<long, long>(Quiet, (in _, ref a) =>
        {
            Volatile.Write(ref s_stop, true);
            Check.Ends(own);
            a = s_counter.Sum() - s_ownAdded;
        });
        service.Handle<long, long>(Lazy, (in _, ref a) => a = service.LazySwitches);
        service.Handle<long, long>(Ended, static (in q, ref a) => (s_alone, a) = (q != 0, Volatile.Read(ref s_ended)));
        service.Handle(Stop, (_, ref _) => stop.Set());
        own.Start();
        service.Enable();
        Check.Stops(stop);
        service.DisposeAsync().AsTask().GetAwaiter().GetResult();
        Check.Equal(0L, s_shared);
        HashSet<uint> left = [];
        for (int cpu = 0; cpu < PossibleCpus.Count; cpu++)
        {
            PerCpuLine* line = (PerCpuLine*)s_list.Lines + cpu;
            Check.Equal(0ul, line->Shared);                      // every thread had sections
            for (uint next = (uint)line->Own; next != 0; next = ((uint*)s_list.Links)[next - 1])
            {
                Check.That(left.Add(next - 1), $"node {next - 1} twice");
            }
        }

        Check.Equal(Nodes, left.Count);
        for (HashSet<int> blocks = []; blocks.Count < Nodes;)
        {
            Check.Equal(BlockStatus.Done, s_pool.TryAllocate(out Block block));
            Check.That(blocks.Add(block.Index), $"block {block.Index} twice");
        }

        Check.Equal(BlockStatus.Exhausted, s_pool.TryAllocate(out _));
        return 0;
    }

    private static void Pass()
    {
        if (s_list.TryPop(out uint node) == PerCpuPop.Taken)
        {
            if (Interlocked.Increment(ref s_owners[node]) != 1)
            {
                Interlocked.Increment(ref s_shared);
            }

            Interlocked.Decrement(ref s_owners[node]);
            Check.That(s_list.TryPush(node));
        }

        Check.Equal(BlockStatus.Done, s_pool.TryAllocate(out Block block));
        if (Interlocked.Increment(ref s_holders[block.Index]) != 1)
        {
            Interlocked.Increment(ref s_shared);
        }

        Interlocked.Decrement(ref s_holders[block.Index]);
        Check.Equal(BlockStatus.Done, s_pool.Free(block));
    }

    private static int Storm()
    {
        const int callers = 3, rounds = 2000;
        RpalConnection service = Calls.Connect("percpu");
        using var here = new PerCpuCounter();
        int[] tids = new int[callers];
        bool stop = false;
        long called = 0;
        var storm = new Thread(() => Trouble(tids, ref stop));
        storm.Start();
        Check.Parallel(callers, t =>
        {
            tids[t] = Sys.GetTid();
            long answer = 0, calls = 0;
            for (; !Volatile.Read(ref stop); calls++)
            {
                Check.Equal(CallStatus.Answered, service.Call(Count, (long)rounds, ref answer, Calls.Soon));
                Check.Equal(rounds, answer);
                Check.That(PerCpuThread.IsArmed && PerCpuSections.CurrentCpu() >= 0);
                for (int n = 0; n < rounds; n++)
                {
                    here.Add(1);
                }
            }

            Interlocked.Add(ref called, calls);
        });
        Check.Ends(storm);
        Check.Equal(called * rounds, here.Sum());
        long lazy = Ask(service, Lazy);
        Console.WriteLine($"{called} calls, {lazy} lazy switches");
        Check.That(lazy > 0);
        Check.Equal(called * rounds, Ask(service, Quiet));
        Check.Equal(CallStatus.Answered, service.Call(Stop, [], [], out _, Calls.Soon));
        return 0;
    }

    /// <summary>Signals that call contexts home, and other CPUs for the kernel threads: so many, or for so long.</summary>
    private static void Trouble(int[] tids, ref bool stop)
    {
        const int signals = 2000, limitMs = 15_000;
        _ = Sys.SchedGetAffinity(0, out ulong all);
        int[] cpus = [.. Enumerable.Range(0, 64).Where(c => (all >> c & 1) != 0)];
        var random = new Random(3);
        long until = Environment.TickCount64 + limitMs;
        for (int sent = 0; sent < signals && Environment.TickCount64 < until;)
        {
            int tid = Volatile.Read(ref tids[random.Next(tids.Length)]);
            if (tid != 0)
            {
                sent += Sys.Tgkill(Environment.ProcessId, tid, Activation) == 0 ? 1 : 0;
                _ = Sys.SchedSetAffinity(tid, random.Next(4) == 0 ? all : 1ul << cpus[random.Next(cpus.Length)]);
            }

            Thread.SpinWait(random.Next(10_000));
        }

        Volatile.Write(ref stop, true);
    }

    private static long Ask(RpalConnection service, int method, long question = 0)
    {
        long answer = 0;
        Check.Equal(CallStatus.Answered, service.Call(method, question, ref answer, Calls.Soon));
        return answer;
    }

    /// <summary>This process ends while its threads execute handlers that count.</summary>
    private static int DiesInside(int threads, long rounds)
    {
        RpalConnection service = Calls.Connect("percpu");
        _ = Ask(service, Ended, 1);
        for (int i = 0; i < 3; i++)
        {
            _ = Ask(service, Count, 100_000);                    // compiled by now
        }

        long[] announced = GC.AllocateArray<long>(threads, pinned: true);
        for (int i = 0; i < threads; i++)
        {
            int mine = i;
            new Thread(() => service.Call(Count, rounds, ref announced[mine], Calls.Soon)) { IsBackground = true }.Start();
        }

        for (int i = 0; i < threads; i++)
        {
            Check.Comes(() => Volatile.Read(ref announced[i]) == 1);
        }

        Console.WriteLine("inside");
        Environment.Exit(0);
        return 0;
    }

    /// <summary>Once that process is gone, its handlers end at home, and nothing they added is missing or there twice.</summary>
    private static int GoesOn(string file, int threads, long rounds)
    {
        RpalConnection service = Calls.Connect("percpu");
        Check.Comes(() => File.Exists(file));
        Check.Comes(() => Ask(service, Ended, 1) == threads + 3);
        Check.Equal(threads * rounds + 3 * 100_000, Ask(service, Quiet));
        Check.Equal(CallStatus.Answered, service.Call(Stop, [], [], out _, Calls.Soon));
        return 0;
    }
}
