using System.Runtime.InteropServices;

namespace Rpal.Linux;

/// <summary>struct pollfd, poll(2).</summary>
/// <remarks>0 fd i32 | 4 events i16, ours | 6 revents i16, the kernel's</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct PollFd
{
    public const int SizeBytes = 8;
    [FieldOffset(0)] public int Fd;
    [FieldOffset(4)] public short Events;
    [FieldOffset(6)] public short Returned;
}
