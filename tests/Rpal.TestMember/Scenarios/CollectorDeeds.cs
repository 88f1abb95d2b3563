using System.Diagnostics;

namespace Rpal.TestMember.Scenarios;

/// <summary>Deeds that make garbage, or have it collected.</summary>
internal static class CollectorDeeds
{
    public static long Collect()
    {
        int before = GC.CollectionCount(2);
        byte[][] junk = [.. Enumerable.Range(0, 100).Select(i => new byte[i])];
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return junk.Length == 100 ? GC.CollectionCount(2) - before : 0;
    }

    /// <summary>Makes garbage and something that must survive it.</summary>
    public static long Allocate(int objects)
    {
        var list = new List<object>();
        long sum = 0;
        for (int i = 0; i < objects; i++)
        {
            object o = new long[] { i, i, i };
            if (i % 8 == 0)
            {
                list.Add(o);
            }
        }

        foreach (object o in list)
        {
            sum += ((long[])o)[1];
        }

        return sum;
    }

    /// <summary>The handler computes without leaving user mode while another thread collects; both must end.</summary>
    public static long CollectWhileComputing(TimeSpan time)
    {
        long collections = 0;
        bool stop = false;
        var collector = new Thread(() =>
        {
            while (!Volatile.Read(ref stop))
            {
                GC.Collect();
                Interlocked.Increment(ref collections);
            }
        });
        collector.Start();
        Deeds.Compute(time);
        long during = Volatile.Read(ref collections);
        Volatile.Write(ref stop, true);
        Check.Ends(collector);
        return during;
    }

    /// <summary>The handler computes without an end until another thread's collection is done.</summary>
    public static long LockedCollect(TimeSpan limit)
    {
        long done = 0, sum = 0, begin = Stopwatch.GetTimestamp();
        ThreadPool.UnsafeQueueUserWorkItem(_ =>
        {
            GC.Collect();
            Volatile.Write(ref done, 1);
        }, null);
        while (Volatile.Read(ref done) == 0)
        {
            sum += sum << 1 ^ 5;
            if (Stopwatch.GetElapsedTime(begin) > limit)
            {
                return -1;
            }
        }

        return 1;
    }
}
