using System.Runtime.InteropServices;

namespace Rpal.Memory.PerCpu;

/// <summary>One CPU's cache line of a counter, a list or a pair of words. Written and read by every process on that CPU.</summary>
/// <remarks>
/// Two lanes, because a thread without restartable sections must not touch what others change without a lock prefix: it may be moved
/// between reading its CPU and the change. Both lanes count.
/// <code>
///  0 own u64      by sections, on this CPU alone:       a counter's sum, a list's head (low 32 bits), or check (low) and value (high)
///  8 shared u64   by lock-prefixed instructions:        the same; a list's head has a tag in the high 32 bits
/// 16.. zero
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct PerCpuLine
{
    public const int SizeBytes = 64, OwnOffset = 0, SharedOffset = 8;

    [FieldOffset(OwnOffset)] public ulong Own;
    [FieldOffset(SharedOffset)] public ulong Shared;
}
