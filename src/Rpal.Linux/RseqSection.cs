using System.Runtime.InteropServices;

namespace Rpal.Linux;

/// <summary>A restartable section: a thread that is preempted, moved or signalled in it goes on at the abort address. Read by the kernel. Source: rseq(2), linux/rseq.h.</summary>
/// <remarks>0 version u32 | 4 flags u32 | 8 start u64 | 16 length u64 | 24 abort u64, behind the signature, outside the section. Aligned to its size.</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct RseqSection
{
    public const int SizeBytes = 32;

    [FieldOffset(0)] public uint Version;
    [FieldOffset(4)] public uint Flags;
    [FieldOffset(8)] public long Start;
    [FieldOffset(16)] public long LengthBytes;
    [FieldOffset(24)] public long Abort;
}
