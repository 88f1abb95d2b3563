using System.Runtime.InteropServices;

namespace Rpal.Linux;

/// <summary>The kernel's struct sigaction on x86-64, not libc's. Written by us, read by rt_sigaction(2).</summary>
/// <remarks>0 handler ptr | 8 flags u64 | 16 restorer ptr | 24 mask u64, bit n-1 for signal n</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct KernelSigaction
{
    public const int SizeBytes = 32;
    [FieldOffset(0)] public nint Handler;
    [FieldOffset(8)] public ulong Flags;
    [FieldOffset(16)] public nint Restorer;
    [FieldOffset(24)] public ulong Mask;
}
