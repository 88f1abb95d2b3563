using System.Runtime.InteropServices;

namespace Rpal.Linux;

/// <summary>struct timespec, timespec(3type).</summary>
/// <remarks>0 tv_sec i64 | 8 tv_nsec i64, 0..999 999 999</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct Timespec
{
    public const int SizeBytes = 16;
    [FieldOffset(0)] public long Seconds;
    [FieldOffset(8)] public long Nanoseconds;

    /// <summary>Splits a duration. A negative one stays negative, and the kernel refuses it with EINVAL.</summary>
    public static Timespec FromNs(long durationNs) =>
        new() { Seconds = durationNs / NsPerSecond, Nanoseconds = durationNs % NsPerSecond };

    private const long NsPerSecond = 1_000_000_000;
}
