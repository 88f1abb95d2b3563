using System.Runtime.InteropServices;

namespace Rpal.Linux;

/// <summary>What the kernel and one thread share for restartable sequences. The kernel writes the CPU, the thread the section. Source: rseq(2), linux/rseq.h.</summary>
/// <remarks>0 CPU u32, 0 while not registered | 4 CPU u32, <see cref="Unregistered"/> while not | 8 section u64: address of an <see cref="RseqSection"/> or 0 | 16 flags u32 | 20.. later additions. Aligned to its size.</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct RseqArea
{
    public const int SizeBytes = 32;
    public const uint Unregistered = uint.MaxValue;

    [FieldOffset(0)] public uint CpuStart;
    [FieldOffset(4)] public uint Cpu;
    [FieldOffset(8)] public ulong Section;
    [FieldOffset(16)] public uint Flags;
}
