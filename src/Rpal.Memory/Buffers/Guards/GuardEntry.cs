using System.Runtime.InteropServices;

namespace Rpal.Memory.Buffers.Guards;

/// <summary>A guarded buffer as the fault handler knows it. Written under <see cref="GuardedRanges"/>' lock, begin last; read by machine code.</summary>
/// <remarks>0 begin ptr, 0 unused | 8 end ptr | 16 word ptr, the header's LockWord | 24 text length u32 | 28 zero | 32 text, 480 bytes of ASCII</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct GuardEntry
{
    public const int SizeBytes = 512;
    public const int BeginOffset = 0, EndOffset = 8, WordOffset = 16, TextLengthOffset = 24, TextOffset = 32;
    public const int TextBytes = SizeBytes - TextOffset;

    [FieldOffset(BeginOffset)] public long Begin;
    [FieldOffset(EndOffset)] public long End;
    [FieldOffset(WordOffset)] public ulong* Word;
    [FieldOffset(TextLengthOffset)] public uint TextLengthBytes;
    [FieldOffset(TextOffset)] public fixed byte Text[TextBytes];
}

/// <summary>What the fault handler finds first.</summary>
/// <remarks>
/// 0 count u32 of entries that may be in use | 4 keyOffset u32, where a signal's frame has PKRU, from fpregs; 0 no keys are used | 8 previous handler ptr, of SIGSEGV |
/// 16 previous handler ptr, of SIGFPE | 24..63 zero | 64 entries
/// </remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct GuardTableHeader
{
    public const int SizeBytes = 64;
    public const int CountOffset = 0, KeyOffsetOffset = 4, PreviousOffset = 8, PreviousArithmeticOffset = 16;

    [FieldOffset(CountOffset)] public uint Count;
    [FieldOffset(KeyOffsetOffset)] public uint KeyOffset;
    [FieldOffset(PreviousOffset)] public nint Previous;
    [FieldOffset(PreviousArithmeticOffset)] public nint PreviousArithmetic;
}
