using System.Runtime.InteropServices;

namespace Rpal.Linux;

/// <summary>struct seccomp_data: one system call as a filter sees it. seccomp(2).</summary>
/// <remarks>0 nr i32 | 4 arch u32 | 8 instruction_pointer u64 | 16 args u64[6]</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct SeccompData
{
    public const int SizeBytes = 64;
    [FieldOffset(0)] public int Number;
    [FieldOffset(4)] public uint Architecture;
    [FieldOffset(8)] public ulong InstructionPointer;
    [FieldOffset(16)] public fixed ulong Arguments[6];
}
