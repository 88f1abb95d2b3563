using System.Runtime.InteropServices;

namespace Rpal.Linux;

/// <summary>struct sock_filter: one instruction of classic BPF. Source: linux/filter.h.</summary>
/// <remarks>0 code u16 | 2 jt u8 | 3 jf u8 | 4 k u32</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct SockFilter
{
    public const int SizeBytes = 8;
    [FieldOffset(0)] public ushort Code;
    [FieldOffset(2)] public byte JumpTrue;
    [FieldOffset(3)] public byte JumpFalse;
    [FieldOffset(4)] public uint K;

    public SockFilter(ushort code, uint k, byte jumpTrue = 0, byte jumpFalse = 0)
    {
        Code = code;
        JumpTrue = jumpTrue;
        JumpFalse = jumpFalse;
        K = k;
    }
}
