using System.Diagnostics;

namespace Rpal.TestMember.Scenarios;

/// <summary>Calls while one or both runtimes collect, and calls that make no garbage themselves.</summary>
internal static class Collections
{
    private const int AllocationFreeCalls = 100_000;

    public static void Add(Dictionary<string, Func<string[], int>> scenarios)
    {
        scenarios.AddCaller("no-allocation", AllocatesNothing);
        scenarios.AddCaller("tight-loop", TightLoop);
        scenarios.Add("allocate-and-call", args => BothAllocate(threads: int.Parse(args[0]), collections: int.Parse(args[1])));
        scenarios.Add("few-calls", args => FewCalls(int.Parse(args[0])));
    }

    private static void AllocatesNothing(RpalConnection work)
    {
        long answer = 0;
        byte[] bytes = new byte[64], back = new byte[64];
        using var source = new CancellationTokenSource();
        void Round()
        {
            for (int i = 0; i < AllocationFreeCalls / 4; i++)
            {
                work.Call(Methods.Add, new Numbers(i, 1), ref answer, Calls.Soon);
                work.Call(Methods.Add, new Numbers(i, 1), ref answer, Calls.Soon, source.Token);
                work.Call(Methods.Echo, bytes, back, out _, Calls.Soon);
                work.Call(Methods.Do, new Order(Deed.Nothing, 1), ref answer, Calls.Soon);
            }
        }

        Round();
        long callee = work.Do(Deed.AllocatedBytes), caller = GC.GetAllocatedBytesForCurrentThread();
        Round();
        Check.Equal(0L, GC.GetAllocatedBytesForCurrentThread() - caller);
        Check.Equal(0L, work.Do(Deed.AllocatedBytes) - callee);
    }

    private static void TightLoop(RpalConnection work)
    {
        // The collector must be able to get the computing context off the caller's kernel thread.
        for (int i = 0; i < 5; i++)
        {
            Check.That(work.Do(Deed.CollectWhileComputing, 200) > 0, "no collection ended while the handler computed");
        }

        for (int i = 0; i < 300; i++)
        {
            Check.Equal(1L, work.Do(Deed.LockedCollect, 10_000));
        }
    }

    private static int BothAllocate(int threads, int collections)
    {
        RpalConnection work = Calls.Connect("work");
        Check.Equal(Environment.GetEnvironmentVariable("DOTNET_gcServer") == "1", System.Runtime.GCSettings.IsServerGC);
        bool stop = false;
        long calls = 0;
        var collector = new Thread(() =>
        {
            while (!Volatile.Read(ref stop))
            {
                CollectorDeeds.Allocate(3000);
                GC.Collect(0);
                Thread.Yield();
            }
        });
        collector.Start();
        long before = work.Do(Deed.Collections);
        Check.Parallel(threads, t =>
        {
            for (int i = 0; i % 16 != 0 || GC.CollectionCount(0) < collections || work.Do(Deed.Collections) - before < collections; i++)
            {
                work.CheckChecksum((t << 20) + i);
                Check.Equal(Expected(500), work.Do(Deed.Allocate, 500));
                Check.Equal(Expected(500), CollectorDeeds.Allocate(500));
                work.Do(Deed.CollectYoung);
                if (i % 8 == 0 && t == 0)
                {
                    Check.That(work.Do(Deed.Collect) > 0);
                }

                Interlocked.Increment(ref calls);
            }
        });
        Volatile.Write(ref stop, true);
        Check.Ends(collector);
        Check.That(calls > 0, "no round was made");
        Console.WriteLine($"{calls} rounds, {GC.CollectionCount(0)} collections here, {work.Do(Deed.Collections)} there");
        work.Stop();
        return 0;
    }

    private static long Expected(int objects)
    {
        long sum = 0;
        for (int i = 0; i < objects; i += 8)
        {
            sum += i;
        }

        return sum;
    }

    /// <summary>For runtimes that are slow on purpose.</summary>
    private static int FewCalls(int calls)
    {
        RpalConnection work = Calls.Connect("work");
        int before = GC.CollectionCount(0), rounds = 0;
        long begin = Stopwatch.GetTimestamp();
        for (int i = 0; i < calls && Stopwatch.GetElapsedTime(begin) < Check.Patience; i++, rounds++)
        {
            work.CheckChecksum(i);
            Check.Equal(Expected(100), work.Do(Deed.Allocate, 100));
            Check.Equal(Expected(100), CollectorDeeds.Allocate(100));
            if (i % 50 == 0)
            {
                GC.Collect();
                Check.That(work.Do(Deed.Collect) > 0);
            }
        }

        Check.That(rounds > 0, "no round was made");
        Console.WriteLine($"rounds {rounds}, collections {GC.CollectionCount(0) - before}, server {System.Runtime.GCSettings.IsServerGC}");
        work.Stop();
        return 0;
    }
}
