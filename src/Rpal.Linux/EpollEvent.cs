using System.Runtime.InteropServices;

namespace Rpal.Linux;

/// <summary>struct epoll_event, packed on x86-64. epoll_ctl(2).</summary>
/// <remarks>0 events u32 | 4 data u64, ours to choose</remarks>
[StructLayout(LayoutKind.Explicit, Pack = 1, Size = SizeBytes)]
internal struct EpollEvent
{
    public const int SizeBytes = 12;
    [FieldOffset(0)] public uint Events;
    [FieldOffset(4)] public ulong Data;
}
