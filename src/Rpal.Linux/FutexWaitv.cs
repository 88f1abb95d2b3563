using System.Runtime.InteropServices;

namespace Rpal.Linux;

/// <summary>struct futex_waitv, linux/futex.h: one of the words that futex_waitv(2) sleeps on.</summary>
/// <remarks>0 val u64 | 8 uaddr u64 | 16 flags u32 | 20 __reserved u32, zero</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct FutexWaitv
{
    public const int SizeBytes = 24;

    /// <summary>FUTEX_WAITV_MAX.</summary>
    public const int WordLimit = 128;

    /// <summary>FUTEX_32: a word of 32 bits, shared between processes.</summary>
    public const uint Size32 = 2;

    [FieldOffset(0)] public ulong Expected;
    [FieldOffset(8)] public ulong Word;
    [FieldOffset(16)] public uint Flags;
    [FieldOffset(20)] public uint Reserved;
}
