using System.Runtime.InteropServices;

namespace Rpal.Linux;

/// <summary>struct seccomp_notif, written by the kernel. seccomp_unotify(2).</summary>
/// <remarks>0 id u64 | 8 pid u32, the thread id as the listener sees it | 12 flags u32 | 16 data seccomp_data</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct SeccompNotif
{
    public const int SizeBytes = 80;
    [FieldOffset(0)] public ulong Id;
    [FieldOffset(8)] public uint Pid;
    [FieldOffset(12)] public uint Flags;
    [FieldOffset(16)] public SeccompData Data;
}
