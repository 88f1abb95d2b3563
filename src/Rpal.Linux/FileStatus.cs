using System.Runtime.InteropServices;

namespace Rpal.Linux;

/// <summary>struct stat, fstat(2): what is used of it.</summary>
/// <remarks>24 st_mode u32 | 48 st_size s64 | 64 st_blocks s64, of <see cref="BlockBytes"/>: what the file really takes</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct FileStatus
{
    public const int SizeBytes = 144, BlockBytes = 512;

    /// <summary>Of <see cref="Mode"/>: S_IFMT, S_IFREG and S_IFDIR.</summary>
    public const uint TypeMask = 0xF000, Regular = 0x8000, Directory = 0x4000;

    [FieldOffset(24)] public uint Mode;
    [FieldOffset(48)] public long LengthBytes;
    [FieldOffset(64)] public long Blocks;
}
