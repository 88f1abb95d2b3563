using System.Runtime.InteropServices;

namespace Rpal.Linux;

/// <summary>struct statfs, statfs(2): the fields that are used.</summary>
/// <remarks>0 f_type s64 | 8 f_bsize s64 | 80 f_flags s64</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct StatFs
{
    public const int SizeBytes = 120;
    [FieldOffset(0)] public long Type;
    [FieldOffset(8)] public long BlockBytes;
    [FieldOffset(80)] public long Flags;
}
