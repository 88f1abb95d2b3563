using Rpal.Linux;

namespace Rpal.Memory.Waiting;

/// <summary>What waking a sleeping thread costs here, from the wake-up to its first instruction: measured once per process, when it is first asked for.</summary>
internal static unsafe class WakeCost
{
    /// <summary>Sleeps that are measured; the median counts.</summary>
    private const int Rounds = 15;

    /// <summary>Between going to sleep and being woken: long enough for the CPU to become idle.</summary>
    private const int SettleMs = 1;

    /// <summary>Longest time that a measured sleep may take: the other thread may not get a CPU.</summary>
    private const long PatienceNs = 20_000_000;

    /// <summary>What counts until it is measured, and least.</summary>
    private const long AssumedNs = 20_000, LeastNs = 1_000;

    private static int s_isBegun;
    private static long s_ns = AssumedNs;

    /// <summary>Nanoseconds; an assumption in the first moments of a process.</summary>
    public static long Ns()
    {
        if (Volatile.Read(ref s_isBegun) == 0 && Interlocked.Exchange(ref s_isBegun, 1) == 0)
        {
            Begin();
        }

        return Volatile.Read(ref s_ns);
    }

    private static void Begin()
    {
        try
        {
            new Thread(Measure) { IsBackground = true, Name = "rpal-wake-cost" }.Start();    // nobody waits for it
        }
        catch (Exception e) when (e is OutOfMemoryException or ThreadStartException)
        {
            // No thread is free: what is assumed stays, and who waits goes on.
        }
    }

    private static void Measure()
    {
        uint[] shared = GC.AllocateArray<uint>(1, pinned: true);
        long[] began = new long[1];
        List<long> took = [];
        fixed (uint* word = shared)
        {
            nint at = (nint)word;
            var sleeper = new Thread(() => Sleep((uint*)at, began, took)) { IsBackground = true, Name = "rpal-wake-cost" };
            sleeper.Start();
            for (uint i = 0; i < Rounds; i++)
            {
                Thread.Sleep(SettleMs);                          // until the sleeper sleeps: nothing can tell from inside; a round in which it did not is left out
                Volatile.Write(ref began[0], WaitSlice.Now);
                Volatile.Write(ref *word, i + 1);
                _ = Sys.FutexWake(word, 1);
            }

            sleeper.Join();
        }

        took.Sort();
        if (took.Count > 0)
        {
            Volatile.Write(ref s_ns, Math.Clamp(took[took.Count / 2], LeastNs, AdaptiveWait.SpinBoundNs));
        }
    }

    private static void Sleep(uint* word, long[] began, List<long> took)
    {
        uint seen = 0;
        while (seen < Rounds)
        {
            bool slept = Sys.FutexWait(word, seen, PatienceNs) == 0;
            long now = WaitSlice.Now;
            uint is_ = Volatile.Read(ref *word);
            if (slept && is_ == seen + 1)
            {
                took.Add(now - Volatile.Read(ref began[0]));
            }

            seen = is_;
        }
    }
}
