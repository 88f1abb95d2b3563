using System.Runtime.InteropServices;

namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>
    /// sched_setattr(2) for this thread, SCHED_OTHER with a slice of its own (Linux 6.12; ignored before). A short slice means an early deadline: a thread that
    /// sleeps long and works shortly then runs soon after it is woken, also beside threads that compute. It gets no more time, and needs no privilege.
    /// </summary>
    /// <param name="sliceNs">100,000 (0.1 ms) to 100,000,000; the kernel brings others into the range.</param>
    /// <returns>0, or -errno.</returns>
    public static int SchedSetSlice(long sliceNs)
    {
        SchedAttributes attributes = new() { SizeBytes = (uint)sizeof(SchedAttributes), SliceNs = (ulong)sliceNs };
        return (int)Invoke(SyscallNumber.SchedSetattr, 0, (nint)(&attributes));
    }

    /// <summary>struct sched_attr, version 0. 0 size u32 | 4 policy u32 | 8 flags u64 | 16 nice s32 | 20 priority u32 | 24 runtime u64 | 32 deadline u64 | 40 period u64</summary>
    [StructLayout(LayoutKind.Explicit, Size = 48)]
    private struct SchedAttributes
    {
        [FieldOffset(0)] public uint SizeBytes;
        [FieldOffset(24)] public ulong SliceNs;
    }
}
