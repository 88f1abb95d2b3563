using Rpal.Memory.Blocks;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Tests.Blocks;

/// <summary>What tests of pools have in common.</summary>
internal static class Pools
{
    /// <summary>A segment whose part 0 is a pool.</summary>
    public static Segment Make(int blocks, int blockBytes, int caches, out BlockPool pool, bool sections = true)
    {
        var options = new BlockPoolOptions { BlockCount = blocks, BlockBytes = blockBytes, Caches = caches, Sections = sections };
        var segment = Segment.Create(Math.Max(Segment.LeastBytes, Segment.HeaderBytes + BlockPool.LengthFor(options) + 4096));
        pool = BlockPool.Create(segment, options);
        return segment;
    }

    /// <summary>Every block is free, on a list, and on one only; nothing was refused.</summary>
    public static void AssertWhole(BlockPool pool, bool refusals = false)
    {
        Assert.Equal(pool.BlockCount, pool.GetStatistics().Free);
        List<Block> all = [];
        for (BlockStatus status; (status = pool.TryAllocate(out Block block)) != BlockStatus.Exhausted; all.Add(block))
        {
            Assert.Equal(BlockStatus.Done, status);
        }

        Assert.Equal(Enumerable.Range(0, pool.BlockCount), all.Select(b => b.Index).Order());
        all.ForEach(b => Assert.Equal(BlockStatus.Done, pool.Free(b)));
        Assert.Equal(pool.BlockCount, pool.GetStatistics().Free);
        if (!refusals)
        {
            Assert.Equal(default, pool.GetStatistics() with { Free = 0, Recovered = 0, Allocations = 0 });
        }
    }
}
