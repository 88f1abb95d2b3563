using Rpal.Machine.Emit;

namespace Rpal.Memory.Blocks;

/// <summary>Where the tables and the blocks of a pool lie, from its part's beginning. Follows from three numbers, so there are no stored offsets to distrust.</summary>
internal readonly record struct BlockPoolLayout(int BlockBytes, int BlockCount, int CacheCount)
{
    /// <summary>Each list's head has a cache line pair of its own.</summary>
    public const int HeadStride = Emitter.BlockLaneStrideBytes;

    private const int PageBytes = 4096;

    /// <summary>Links that a cache line pair has room for; fewer words fit.</summary>
    private const int Spacing = HeadStride / sizeof(uint);

    public bool IsValid =>
        BlockBytes is >= BlockPool.BlockGranularity and <= BlockPool.MostBlockBytes && BlockBytes % BlockPool.BlockGranularity == 0
        && BlockCount is >= 1 and <= BlockPool.MostBlocks && CacheCount is >= 0 and <= BlockPool.MostCaches;

    /// <summary>The alignment that the part must have.</summary>
    public int Alignment => BlockBytes % PageBytes == 0 ? PageBytes : HeadStride;

    public static long HeadsOffset => BlockPoolHeader.SizeBytes;

    public long WordsOffset => HeadsOffset + (1L + CacheCount) * HeadStride;

    public long LinksOffset => WordsOffset + (long)BlockCount * sizeof(ulong);

    public long DataOffset => (LinksOffset + (long)BlockCount * sizeof(uint) + Alignment - 1) / Alignment * Alignment;

    public long LengthBytes => DataOffset + (long)BlockCount * BlockBytes;

    /// <summary>All indices, neighbours in the order far apart in the tables: two CPUs that take blocks in turns shall not share their words' and links' cache lines.</summary>
    public static IEnumerable<uint> Spread(uint count)
    {
        for (uint column = 0; column < Spacing; column++)
        {
            for (uint i = column; i < count; i += Spacing)
            {
                yield return i;
            }
        }
    }
}
