using Rpal.Memory.Blocks;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Tests.Blocks;

/// <summary>Another process writes random words over all of a pool, tables and blocks, while this one uses it.</summary>
/// <remarks>A few seconds; a minute with RPAL_LONG=1.</remarks>
public sealed class BlockHostilityTests
{
    private const int Blocks = 64, BlockBytes = 64;
    private static readonly int s_ms = Long.Choose(3000, 60_000);

    [Fact]
    public unsafe void Random_words_all_over_a_pool_give_statuses_and_nothing_else()
    {
        using Segment segment = Pools.Make(Blocks, BlockBytes, 3, out BlockPool pool);
        Part canary = segment.Add(PartKind.Bytes, 256);          // what lies behind the pool stays as it is
        new Span<byte>(canary.Address, 256).Fill(0xC5);
        byte[] before = new ReadOnlySpan<byte>(segment.Address + SegmentHeader.PartsOffset, Segment.HeaderBytes - SegmentHeader.PartsOffset).ToArray();
        using var peer = PeerProcess.Start("pool-hostile", $"{s_ms}", "1");
        peer.Send(segment);
        peer.WaitFor("open");
        var counts = new long[Enum.GetValues<BlockStatus>().Length];
        var random = new Random(7);
        long rounds = 0;
        for (long until = Environment.TickCount64 + s_ms; Environment.TickCount64 < until; rounds++)
        {
            Use(segment, pool, random, counts);
            if (rounds % 1000 == 0)
            {
                segment.Recover(9);                              // as after a death
                Assert.Throws<SegmentException>(() => BlockPool.Open(segment, 1));
            }
        }

        peer.WaitFor("wrote");
        peer.Kill();
        Assert.True(counts[(int)BlockStatus.Corrupt] > 0, $"nothing was corrupt in {rounds} rounds");
        Assert.Equal(-1, new ReadOnlySpan<byte>(canary.Address, 256).IndexOfAnyExcept((byte)0xC5));
        Assert.Equal(before.AsSpan(0, 64 * 32), new ReadOnlySpan<byte>(segment.Address + SegmentHeader.PartsOffset, 64 * 32));

        // The geometry that this process has is its own copy: a recovery by it would need the header's, so that is written anew.
        *pool.Memory.Header = new BlockPoolHeader { BlockBytes = BlockBytes, BlockCount = Blocks, CacheCount = 3 };
        foreach (uint i in Enumerable.Range(0, Blocks).Select(i => (uint)i))
        {
            pool.Memory.Words[i] = BlockWord.Of(BlockState.Owned, 9, 0, 1).Value;
        }

        segment.Recover(9);
        Pools.AssertWhole(pool, refusals: true);                 // and with true words again it is whole again
    }

    private static void Use(Segment segment, BlockPool pool, Random random, long[] counts)
    {
        BlockStatus status = pool.TryAllocate(out Block block);
        counts[(int)status]++;
        if (status == BlockStatus.Done)
        {
            Assert.InRange(block.Index, 0, Blocks - 1);
            counts[(int)pool.TryGetBytes(block, out _)]++;
            counts[(int)(random.Next(2) == 0 ? pool.Free(block) : pool.TryOffer(block, 5, segment.Self, out _))]++;
        }

        counts[(int)pool.TryAcceptBlock(Reference(random, BlockBytes), out block)]++;
        counts[(int)pool.Free(block)]++;
        counts[(int)pool.TryAcceptChain(Reference(random, Blocks * BlockBytes), out BlockChain? chain)]++;
        counts[(int)(chain?.Free() ?? BlockStatus.Done)]++;
        status = pool.TryReserveChain(random.Next(1500), out chain);
        counts[(int)status]++;
        if (status == BlockStatus.Done)
        {
            status = chain!.TryOffer(segment.Self, out BlockReference r);
            counts[(int)(status == BlockStatus.Done ? pool.TryAcceptChain(r, out BlockChain? received) : status)]++;
            chain.Dispose();
        }

        pool.FreeOrphans(segment.Self);
        _ = pool.GetStatistics();
    }

    private static BlockReference Reference(Random random, int most) =>
        new() { First = (uint)random.Next(Blocks + 2), Sequence = (uint)random.Next(8), LengthBytes = random.Next(most) };
}
