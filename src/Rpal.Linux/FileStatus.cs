using System.Runtime.InteropServices;

namespace Rpal.Linux;

/// <summary>struct stat, fstat(2): what is used of it.</summary>
/// <remarks>48 st_size s64 | 64 st_blocks s64, of <see cref="BlockBytes"/>: what the file really takes</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct FileStatus
{
    public const int SizeBytes = 144, BlockBytes = 512;
    [FieldOffset(48)] public long LengthBytes;
    [FieldOffset(64)] public long Blocks;
}
