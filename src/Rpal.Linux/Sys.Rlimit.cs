namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>No limit: RLIM_INFINITY is larger, and becomes this.</summary>
    public const long NoLimit = long.MaxValue;

    /// <summary>prlimit(2): a soft limit of this process.</summary>
    /// <returns>The limit, <see cref="NoLimit"/>, or -errno.</returns>
    public static long Limit(Resource resource)
    {
        ulong* limits = stackalloc ulong[2];                     // struct rlimit: 0 soft | 8 hard
        nint r = Invoke(SyscallNumber.Prlimit64, 0, (nint)resource, 0, (nint)limits);
        return r < 0 ? r : (long)Math.Min(limits[0], NoLimit);
    }

    /// <summary>RLIMIT_NOFILE: descriptors have numbers below it. Those opened before it was lowered stay.</summary>
    /// <returns>As <see cref="Limit"/>.</returns>
    public static long DescriptorLimit() => Limit(Resource.Descriptors);
}
