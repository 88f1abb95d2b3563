using System.Runtime.InteropServices;

namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>What must stand in the four bytes before a section's abort address: glibc's choice for x86. Source: bits/rseq.h, RSEQ_SIG.</summary>
    public const uint RseqSignature = 0x53053053;

    private const int RseqFlagUnregister = 1, ArchGetFs = 0x1003;

    /// <summary>rseq(2): the calling thread's area. One per thread; the kernel forgets it when the thread ends.</summary>
    /// <returns>0, or -errno: EBUSY it has this one already, EINVAL another one, ENOSYS, EPERM.</returns>
    public static int RseqRegister(RseqArea* area, int lengthBytes) => (int)Invoke(SyscallNumber.Rseq, (nint)area, lengthBytes, 0, unchecked((nint)RseqSignature));

    /// <summary>rseq(2) with RSEQ_FLAG_UNREGISTER. Address and length must be those of the registration.</summary>
    /// <returns>0, or -errno: EINVAL.</returns>
    public static int RseqUnregister(RseqArea* area, int lengthBytes) => (int)Invoke(SyscallNumber.Rseq, (nint)area, lengthBytes, RseqFlagUnregister, unchecked((nint)RseqSignature));

    /// <summary>Where libc registers every thread's area, from the thread pointer (FS). Source: glibc 2.35's __rseq_offset and __rseq_size.</summary>
    /// <returns>Null: this libc does not, or was told not to.</returns>
    public static nint? LibcRseqOffset()
    {
        if (!NativeLibrary.TryLoad("libc.so.6", out nint libc)
            || !NativeLibrary.TryGetExport(libc, "__rseq_offset", out nint offset)
            || !NativeLibrary.TryGetExport(libc, "__rseq_size", out nint size))
        {
            return null;
        }

        return *(uint*)size == 0 ? null : *(nint*)offset;
    }

    /// <summary>The calling thread's area where libc registers one, or null.</summary>
    public static RseqArea* LibcRseqArea()
    {
        nint threadPointer = 0;
        return LibcRseqOffset() is { } offset && Invoke(SyscallNumber.ArchPrctl, ArchGetFs, (nint)(&threadPointer)) >= 0 ? (RseqArea*)(threadPointer + offset) : null;
    }

    /// <summary>sched_getcpu(3): the CPU that the calling thread runs on, perhaps no longer when this returns.</summary>
    /// <returns>Its number, or -1.</returns>
    public static int SchedGetcpu() => LibcSchedGetcpu();

    [SuppressGCTransition]
    [LibraryImport("libc", EntryPoint = "sched_getcpu")]
    private static partial int LibcSchedGetcpu();

    /// <summary>sched_getaffinity(2): the size of the kernel's CPU masks in bits, so more than any CPU's number.</summary>
    public static int CpuMaskBits()
    {
        const int bitsPerByte = 8;
        ulong* words = stackalloc ulong[AffinityWords];
        return (int)Math.Max(1, Invoke(SyscallNumber.SchedGetaffinity, 0, AffinityWords * sizeof(ulong), (nint)words)) * bitsPerByte;
    }
}
