using System.Runtime.InteropServices;

namespace Rpal.Linux;

/// <summary>struct sock_fprog: a filter program. Source: linux/filter.h.</summary>
/// <remarks>0 len u16, instructions | 2..7 zero | 8 filter ptr</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct SockFprog
{
    public const int SizeBytes = 16;
    [FieldOffset(0)] public ushort Length;
    [FieldOffset(8)] public SockFilter* Filter;
}
