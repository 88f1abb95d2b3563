namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>prlimit(2), RLIMIT_NOFILE of this process: descriptors have numbers below it. Those opened before it was lowered stay.</summary>
    /// <returns>The soft limit.</returns>
    public static long DescriptorLimit()
    {
        const int noFile = 7;
        ulong* limits = stackalloc ulong[2];                     // struct rlimit: 0 soft | 8 hard
        nint r = Invoke(SyscallNumber.Prlimit64, 0, noFile, 0, (nint)limits);
        return r < 0 ? r : (long)Math.Min(limits[0], long.MaxValue);
    }
}
