using System.Runtime.InteropServices;

namespace Rpal.Linux;

/// <summary>stack_t, sigaltstack(2).</summary>
/// <remarks>0 ss_sp ptr | 8 ss_flags i32, see SignalStackFlags | 12..15 padding | 16 ss_size u64</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct StackT
{
    public const int SizeBytes = 24;
    [FieldOffset(0)] public nint Pointer;
    [FieldOffset(8)] public int Flags;
    [FieldOffset(16)] public nuint SizeInBytes;
}
