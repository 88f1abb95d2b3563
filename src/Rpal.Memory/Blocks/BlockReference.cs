using System.Runtime.InteropServices;

namespace Rpal.Memory.Blocks;

/// <summary>Bytes that were offered to another process, as a message names them. Written by the offerer, read and checked by <see cref="BlockPool.TryAcceptChain"/>.</summary>
/// <remarks>0 first u32, a block's index | 4 sequence u32, of that block | 8 length s64. Up to one block's bytes: the first block has them. More: it is a list, see <see cref="BlockChain"/>.</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
public struct BlockReference
{
    /// <summary>Its size.</summary>
    public const int SizeBytes = 16;

    /// <summary>Index of the first block.</summary>
    [FieldOffset(0)] public uint First;

    /// <summary>That block's sequence.</summary>
    [FieldOffset(4)] public uint Sequence;

    /// <summary>How many bytes were offered.</summary>
    [FieldOffset(8)] public long LengthBytes;
}
