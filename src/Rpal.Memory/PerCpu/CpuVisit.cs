using Rpal.Linux;
using Rpal.Machine.Platform;

namespace Rpal.Memory.PerCpu;

/// <summary>Doing something on a given CPU, where another thread's section is not in the middle of anything: it starts again when its thread runs next.</summary>
/// <remarks>sched_setaffinity(2) of the calling thread, its former mask put back afterwards; some microseconds. Rare: when a CPU's own words have to be changed that no thread there changes.</remarks>
internal static class CpuVisit
{
    private const int BitsPerWord = 64;

    /// <param name="cpu">Where to.</param>
    /// <param name="there">What to do. Somebody who moves the calling thread meanwhile moves this too: sections read the CPU themselves.</param>
    /// <returns>False, and nothing was done: the CPU is offline, or a cpuset forbids it to this process.</returns>
    public static bool TryOn(uint cpu, Action there)
    {
        if (!PerCpuThread.IsArmed)
        {
            return TryPinned(cpu, there);
        }

        // This context may go on on another kernel thread at any time: what was pinned would not be what is put back.
        bool done = false;
        var visitor = new Thread(() => done = TryPinned(cpu, there)) { IsBackground = true, Name = "rpal cpu visit" };
        visitor.Start();
        visitor.Join();
        return done;
    }

    private static bool TryPinned(uint cpu, Action there)
    {
        Span<ulong> former = stackalloc ulong[Sys.AffinityWords], only = stackalloc ulong[Sys.AffinityWords];
        only.Clear();
        only[(int)(cpu / BitsPerWord)] = 1UL << (int)(cpu % BitsPerWord);
        if (Sys.SchedGetAffinity(0, former) < 0 || Sys.SchedSetAffinity(0, only) < 0)
        {
            return false;
        }

        try
        {
            there();
            return true;
        }
        finally
        {
            _ = Sys.SchedSetAffinity(0, former);
        }
    }
}
