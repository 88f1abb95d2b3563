using System.Runtime.InteropServices;

namespace Rpal.Linux;

/// <summary>struct iovec, iovec(3type).</summary>
/// <remarks>0 iov_base ptr | 8 iov_len u64</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct IoVec
{
    public const int SizeBytes = 16;
    [FieldOffset(0)] public nint Base;
    [FieldOffset(8)] public nuint LengthBytes;
}
