using System.Runtime.InteropServices;

namespace Rpal.Linux;

/// <summary>struct seccomp_notif_resp, written by us. seccomp_unotify(2).</summary>
/// <remarks>0 id u64 | 8 val i64 | 16 error i32, -errno or 0 | 20 flags u32, see SeccompNotifFlags</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct SeccompNotifResponse
{
    public const int SizeBytes = 24;
    [FieldOffset(0)] public ulong Id;
    [FieldOffset(8)] public long Value;
    [FieldOffset(16)] public int Error;
    [FieldOffset(20)] public uint Flags;
}
