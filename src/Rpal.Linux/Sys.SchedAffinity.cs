namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>sched_setaffinity(2). Bit n stands for CPU n; CPUs from 64 on are excluded. <paramref name="tid"/> 0 is this thread.</summary>
    public static int SchedSetAffinity(int tid, ulong mask) =>
        (int)Invoke(SyscallNumber.SchedSetaffinity, tid, sizeof(ulong), (nint)(&mask));

    /// <summary>sched_getaffinity(2) of the first 64 CPUs.</summary>
    /// <returns>0, or -errno: ESRCH.</returns>
    public static int SchedGetAffinity(int tid, out ulong mask)
    {
        ulong* words = stackalloc ulong[AffinityWords];
        nint result = Invoke(SyscallNumber.SchedGetaffinity, tid, AffinityWords * sizeof(ulong), (nint)words);
        mask = result < 0 ? 0 : words[0];
        return result < 0 ? (int)result : 0;
    }

    /// <summary>sched_getaffinity(2) of the first 63 CPUs: bit 63 is cleared, or a full mask would read as -EPERM.</summary>
    /// <returns>The mask, or -errno: ESRCH.</returns>
    public static long SchedGetAffinity(int tid)
    {
        int result = SchedGetAffinity(tid, out ulong mask);
        return result < 0 ? result : (long)(mask & long.MaxValue);
    }

    /// <summary>sched_getaffinity(2) of all CPUs.</summary>
    /// <param name="tid">0 is this thread.</param>
    /// <param name="mask"><see cref="AffinityWords"/> words; those that the kernel does not write are cleared.</param>
    /// <returns>0, or -errno: ESRCH.</returns>
    public static int SchedGetAffinity(int tid, Span<ulong> mask)
    {
        mask.Clear();
        fixed (ulong* words = mask)
        {
            return (int)Math.Min(0, Invoke(SyscallNumber.SchedGetaffinity, tid, mask.Length * sizeof(ulong), (nint)words));
        }
    }

    /// <summary>sched_setaffinity(2) of all CPUs. <paramref name="tid"/> 0 is this thread, which then runs on one of them when this returns.</summary>
    /// <returns>0, or -errno: EINVAL none of them is online and allowed (cpuset), EPERM, ESRCH.</returns>
    public static int SchedSetAffinity(int tid, ReadOnlySpan<ulong> mask)
    {
        fixed (ulong* words = mask)
        {
            return (int)Invoke(SyscallNumber.SchedSetaffinity, tid, mask.Length * sizeof(ulong), (nint)words);
        }
    }

    // The kernel refuses a buffer smaller than its own mask; 8192 CPUs is the most that x86-64 can be built for.
    internal const int AffinityWords = 8192 / 64;
}
