using Rpal.Memory.Blocks;
using Rpal.Memory.Parties;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Tests.Blocks;

public sealed unsafe class BlockPoolTests
{
    [Theory]
    [InlineData(1, 64, 0)]
    [InlineData(100, 192, 1)]
    [InlineData(1000, 4096, 3)]
    public void All_blocks_can_be_had_once_and_do_not_overlap(int blocks, int blockBytes, int caches)
    {
        using Segment segment = Pools.Make(blocks, blockBytes, caches, out BlockPool pool);
        List<Block> all = [];
        for (int i = 0; i < blocks; i++)
        {
            Assert.Equal(BlockStatus.Done, pool.TryAllocate(out Block block));
            all.Add(block);
            Assert.Equal(BlockStatus.Done, pool.TryGetBytes(block, out Span<byte> bytes));
            Assert.Equal(blockBytes, bytes.Length);
            fixed (byte* at = bytes)
            {
                Assert.Equal(0, (long)at % (blockBytes == 4096 ? 4096 : 64));
                Assert.True(at >= pool.Part.Address && at + blockBytes <= pool.Part.Address + pool.Part.LengthBytes);
            }

            bytes.Fill((byte)block.Index);
        }

        Assert.Equal(BlockStatus.Exhausted, pool.TryAllocate(out _));
        Assert.All(all, b =>
        {
            Assert.Equal(BlockStatus.Done, pool.TryGetBytes(b, out Span<byte> bytes));
            Assert.Equal(-1, bytes.IndexOfAnyExcept((byte)b.Index));
            Assert.Equal(BlockStatus.Done, pool.Free(b));
        });
        Pools.AssertWhole(pool);
    }

    [Fact]
    public void Frees_that_make_no_sense_are_refused_and_counted_and_change_nothing()
    {
        using Segment segment = Pools.Make(8, 64, 1, out BlockPool pool);
        using var second = Segment.Open(segment.File);
        BlockPool others = BlockPool.Open(second, 0);
        Assert.Equal(BlockStatus.Done, pool.TryAllocate(out Block block));
        Assert.Equal(BlockStatus.NotOwned, others.Free(block));
        Assert.Equal(BlockStatus.NotOwned, others.TryGetBytes(block, out _));
        Assert.Equal(BlockStatus.Done, pool.Free(block));
        Assert.Equal(BlockStatus.AlreadyFree, pool.Free(block));
        Assert.Equal(BlockStatus.Done, pool.TryAllocate(out Block again));
        Assert.Equal(block.Index, again.Index);
        Assert.Equal(BlockStatus.AlreadyFree, pool.Free(block));                 // of its former life
        Assert.Equal(BlockStatus.AlreadyFree, pool.TryGetBytes(block, out _));
        foreach (int index in (int[])[-1, 8, int.MaxValue, int.MinValue])
        {
            Assert.Equal(BlockStatus.OutOfRange, pool.Free(new Block(index, 1)));
        }

        Assert.Equal(BlockStatus.Done, pool.Free(again));
        Assert.Equal(new BlockPoolStatistics(8, 3, 2, 4, 0, 0, 0, 2), others.GetStatistics());
        Pools.AssertWhole(pool, refusals: true);
    }

    [Fact]
    public void A_lease_that_is_not_committed_frees_its_block()
    {
        using Segment segment = Pools.Make(1, 64, 0, out BlockPool pool);
        using (BlockLease lease = default)
        {
            Assert.Equal(BlockStatus.Done, pool.TryReserve(out BlockLease filled));
            filled.Bytes.Fill(7);
            Assert.Equal(BlockStatus.Exhausted, pool.TryReserve(out _));
            filled.Dispose();
            filled.Dispose();
        }

        Assert.Equal(BlockStatus.Done, pool.TryReserve(out BlockLease kept));
        Block block = kept.Commit();
        kept.Dispose();
        Assert.Equal(BlockStatus.Done, pool.TryGetBytes(block, out Span<byte> bytes));
        Assert.Equal(7, bytes[63]);
        bool threw = false;
        try
        {
            kept.Commit();
        }
        catch (InvalidOperationException)
        {
            threw = true;
        }

        Assert.True(threw);
        Assert.Equal(BlockStatus.Done, pool.Free(block));
        Pools.AssertWhole(pool);
    }

    [Fact]
    public void A_block_goes_from_one_party_to_another_and_only_to_that()
    {
        using Segment segment = Pools.Make(4, 128, 2, out BlockPool pool);
        using var second = Segment.Open(segment.File);
        using var third = Segment.Open(segment.File);
        BlockPool receiver = BlockPool.Open(second, 0), stranger = BlockPool.Open(third, 0);
        Assert.Equal(BlockStatus.Done, pool.TryAllocate(out Block block));
        Assert.Equal(BlockStatus.TooLong, pool.TryOffer(block, 129, second.Self, out _));
        Assert.Equal(BlockStatus.TooLong, pool.TryOffer(block, -1, second.Self, out _));
        Assert.Equal(BlockStatus.Done, pool.TryOffer(block, 128, second.Self, out BlockReference r));
        Assert.Equal(BlockStatus.NotOwned, pool.Free(block));
        Assert.Equal(BlockStatus.NotOwned, pool.TryOffer(block, 1, third.Self, out _));
        Assert.Equal(BlockStatus.NotOwned, stranger.TryAcceptBlock(r, out _));
        Assert.Equal(BlockStatus.NotOwned, receiver.TryAcceptBlock(r with { Sequence = r.Sequence + 1 }, out _));
        Assert.Equal(BlockStatus.OutOfRange, receiver.TryAcceptBlock(r with { First = 4 }, out _));
        Assert.Equal(BlockStatus.TooLong, receiver.TryAcceptBlock(r with { LengthBytes = 129 }, out _));
        Assert.Equal(BlockStatus.Done, receiver.TryAcceptBlock(r, out Block theirs));
        Assert.NotEqual(BlockStatus.Done, receiver.TryAcceptBlock(r, out _));
        Assert.Equal(BlockStatus.NotOwned, pool.Free(block));
        Assert.Equal(BlockStatus.Done, receiver.Free(theirs));
        Pools.AssertWhole(pool, refusals: true);
    }

    [Fact]
    public void What_is_offered_to_somebody_who_has_gone_stays_the_offerers()
    {
        using Segment segment = Pools.Make(4, 64, 0, out BlockPool pool);
        Party gone;
        using (var second = Segment.Open(segment.File))
        {
            gone = second.Self;
        }

        Assert.Equal(BlockStatus.Done, pool.TryAllocate(out Block block));
        Assert.Equal(BlockStatus.PeerGone, pool.TryOffer(block, 1, gone, out _));
        using var next = Segment.Open(segment.File);
        Assert.Equal(gone.Number, next.Self.Number);
        Assert.Equal(BlockStatus.PeerGone, pool.TryOffer(block, 1, gone, out _));   // another has the number by now
        Assert.Equal(BlockStatus.PeerGone, pool.TryOffer(block, 1, new Party(77, 1), out _));
        Assert.Equal(BlockStatus.Done, pool.Free(block));
        Pools.AssertWhole(pool);
    }

    [Fact]
    public void A_party_that_leaves_gives_back_what_it_held_and_what_was_offered_to_it()
    {
        using Segment segment = Pools.Make(8, 64, 2, out BlockPool pool);
        Block offered;
        using (var second = Segment.Open(segment.File))
        {
            BlockPool others = BlockPool.Open(second, 0);
            others.TryAllocate(out _);
            others.TryAllocate(out Block orphan);
            Assert.Equal(BlockStatus.Done, others.TryOffer(orphan, 1, segment.Self, out BlockReference r));
            others.TryAllocate(out Block accepted);
            Assert.Equal(BlockStatus.Done, others.TryOffer(accepted, 1, segment.Self, out BlockReference r2));
            pool.TryAllocate(out offered);
            Assert.Equal(BlockStatus.Done, pool.TryOffer(offered, 1, second.Self, out _));
            Party left = second.Self;
            second.Dispose();
            Assert.Equal(6, pool.GetStatistics().Free);
            Assert.Equal(BlockStatus.Done, pool.TryAcceptBlock(r2, out Block mine));       // delivered after its sender's end
            Assert.Equal(BlockStatus.Done, pool.Free(mine));
            Assert.Equal(0, pool.FreeOrphans(segment.Self));
            Assert.Equal(1, pool.FreeOrphans(left));
            Assert.Equal(BlockStatus.AlreadyFree, pool.TryAcceptBlock(r, out _));
        }

        Pools.AssertWhole(pool, refusals: true);
    }

    [Theory]
    [InlineData(0, 64, 0)]
    [InlineData(1, 63, 0)]
    [InlineData(1, 96, 0)]
    [InlineData(1, 0, 0)]
    [InlineData(1, 64, -1)]
    [InlineData(1, 64, 257)]
    [InlineData(BlockPool.MostBlocks + 1, 64, 0)]
    public void Options_out_of_range_are_refused(int blocks, int blockBytes, int caches) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => BlockPool.LengthFor(new BlockPoolOptions { BlockCount = blocks, BlockBytes = blockBytes, Caches = caches }));

    [Fact]
    public void A_header_that_makes_no_sense_is_refused()
    {
        using Segment segment = Pools.Make(4, 64, 0, out BlockPool pool);
        BlockPoolHeader good = *pool.Memory.Header;
        foreach (BlockPoolHeader bad in new[] { good with { BlockBytes = 65 }, good with { BlockCount = 0 }, good with { BlockCount = 1 << 20 }, good with { BlockCount = uint.MaxValue }, good with { CacheCount = 1 << 30 }, good with { BlockBytes = 1u << 31 } })
        {
            *pool.Memory.Header = bad;
            Assert.Equal(SegmentError.NoSuchPart, Assert.Throws<SegmentException>(() => BlockPool.Open(segment, 0)).Error);
            segment.Recover(5);                                  // and recovery leaves it alone
            Assert.Equal(BlockStatus.Done, pool.TryAllocate(out Block block));   // whoever has it open has its geometry
            Assert.Equal(BlockStatus.Done, pool.Free(block));
        }

        *pool.Memory.Header = good;
        Pools.AssertWhole(BlockPool.Open(segment, 0));
    }

    [Fact]
    public void A_pool_of_a_closed_segment_says_so()
    {
        Segment segment = Pools.Make(4, 64, 0, out BlockPool pool);
        pool.TryAllocate(out Block block);
        segment.Dispose();
        Assert.Throws<ObjectDisposedException>(() => pool.TryAllocate(out _));
        Assert.Throws<ObjectDisposedException>(() => pool.Free(block));
        Assert.Throws<ObjectDisposedException>(() => pool.GetStatistics());
    }
}
