using System.Runtime.InteropServices;
using Rpal.Memory.Blocks;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Tests.Blocks;

public sealed class BlockChainTests
{
    private const int BlockBytes = 64, PerList = BlockBytes / sizeof(uint);

    [Theory]
    [InlineData(0, 1, 0)]
    [InlineData(1, 1, 0)]
    [InlineData(BlockBytes, 1, 0)]
    [InlineData(BlockBytes + 1, 2, 1)]
    [InlineData(PerList * BlockBytes, PerList, 1)]
    [InlineData(PerList * BlockBytes + 1, PerList + 1, 2)]
    [InlineData((2 * PerList - 1) * BlockBytes, 2 * PerList - 1, 2)]
    [InlineData((2 * PerList - 1) * BlockBytes + 1, 2 * PerList, 3)]
    [InlineData(5000, 79, 6)]
    public void A_message_of_any_length_arrives_whole(int length, int data, int lists)
    {
        using Segment segment = Pools.Make(100, BlockBytes, 2, out BlockPool pool);
        using var second = Segment.Open(segment.File);
        BlockPool receiver = BlockPool.Open(second, 0);
        byte[] message = new byte[length], read = new byte[length];
        new Random(length).NextBytes(message);
        Assert.Equal(BlockStatus.Done, pool.TryReserveChain(length, out BlockChain? chain));
        Assert.Equal(data, chain!.PieceCount);
        for (int i = 0, at = 0; i < chain.PieceCount; at += chain.Piece(i++).Length)
        {
            message.AsSpan(at, chain.Piece(i).Length).CopyTo(chain.Piece(i));
        }

        Assert.Equal(100 - data - lists, pool.GetStatistics().Free);
        Assert.Equal(BlockStatus.Done, chain.TryOffer(second.Self, out BlockReference reference));
        Assert.Throws<InvalidOperationException>(() => chain.TryOffer(second.Self, out _));
        Assert.Equal(BlockStatus.Done, receiver.TryAcceptChain(reference, out BlockChain? received));
        Assert.Equal(length, received!.CopyTo(read));
        Assert.Equal(message, read);
        received.Dispose();
        Pools.AssertWhole(pool);
    }

    [Fact]
    public void Too_long_or_too_many_is_refused_without_losing_a_block()
    {
        using Segment segment = Pools.Make(20, BlockBytes, 1, out BlockPool pool);
        Assert.Equal(BlockStatus.TooLong, pool.TryReserveChain(-1, out _));
        Assert.Equal(BlockStatus.TooLong, pool.TryReserveChain(19 * BlockBytes, out _));      // fits without its lists
        Assert.Equal(BlockStatus.TooLong, pool.TryReserveChain(long.MaxValue, out _));
        pool.TryAllocate(out Block block);
        Assert.Equal(BlockStatus.Exhausted, pool.TryReserveChain(18 * BlockBytes, out _));
        Assert.Equal(BlockStatus.TooLong, pool.TryAcceptChain(new BlockReference { LengthBytes = -1 }, out _));
        Assert.Equal(BlockStatus.TooLong, pool.TryAcceptChain(new BlockReference { LengthBytes = long.MinValue }, out _));
        Assert.Equal(BlockStatus.TooLong, pool.TryAcceptChain(new BlockReference { LengthBytes = 20 * BlockBytes }, out _));
        pool.Free(block);
        Pools.AssertWhole(pool);
    }

    [Fact]
    public void An_offer_to_nobody_stays_whole()
    {
        using Segment segment = Pools.Make(20, BlockBytes, 1, out BlockPool pool);
        Assert.Equal(BlockStatus.Done, pool.TryReserveChain(500, out BlockChain? chain));
        Assert.Equal(BlockStatus.PeerGone, chain!.TryOffer(new Memory.Parties.Party(9, 1), out _));
        Assert.Equal(8, chain.PieceCount);
        Assert.Equal(BlockStatus.Done, chain.Free());
        Pools.AssertWhole(pool);
    }

    /// <summary>What a sender could write into the first list block after it was offered, and what the receiver makes of it.</summary>
    [Theory]
    [InlineData("second again", 4, BlockStatus.Cycle)]
    [InlineData("list itself", 3, BlockStatus.Cycle)]
    [InlineData("out of range", 5, BlockStatus.OutOfRange)]
    [InlineData("largest", 15, BlockStatus.OutOfRange)]
    [InlineData("chains to itself", 15, BlockStatus.Cycle)]
    [InlineData("sender's own", 7, BlockStatus.NotOwned)]
    [InlineData("free", 2, BlockStatus.AlreadyFree)]
    [InlineData("free", 15, BlockStatus.AlreadyFree)]
    public void A_list_that_makes_no_sense_is_refused_and_what_was_taken_is_freed(string what, int entry, BlockStatus expected)
    {
        using Segment segment = Pools.Make(50, BlockBytes, 1, out BlockPool pool);
        using var second = Segment.Open(segment.File);
        BlockPool receiver = BlockPool.Open(second, 0);
        pool.TryAllocate(out Block own);
        pool.TryAllocate(out Block free);
        pool.TryReserveChain(20 * BlockBytes, out BlockChain? chain);
        chain!.TryOffer(second.Self, out BlockReference reference);
        pool.Free(free);
        Span<uint> list = MemoryMarshal.Cast<byte, uint>(pool.BytesOf((int)reference.First));
        list[entry] = what switch { "second again" => list[1], "out of range" => 50, "largest" => uint.MaxValue, "sender's own" => (uint)own.Index, "free" => (uint)free.Index, _ => reference.First };
        BlockStatus status = receiver.TryAcceptChain(reference, out BlockChain? received);
        Assert.Equal(expected, status);
        Assert.Null(received);
        Assert.NotEqual(default, pool.GetStatistics() with { Free = 0, Recovered = 0 });
        second.Dispose();                                        // what was not reached was offered to it still
        pool.Free(own);
        Pools.AssertWhole(pool, refusals: true);
    }

    /// <summary>A list names what another process has offered to the same receiver: as a data block, or as the next list.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(4)]
    [InlineData(PerList - 1)]
    public void A_list_does_not_collect_what_another_process_offered(int entry)
    {
        using Segment segment = Pools.Make(50, BlockBytes, 1, out BlockPool pool);
        using var second = Segment.Open(segment.File);
        using var third = Segment.Open(segment.File);
        BlockPool other = BlockPool.Open(second, 0), receiver = BlockPool.Open(third, 0);
        Assert.Equal(BlockStatus.Done, other.TryAllocate(out Block theirs));
        other.BytesOf(theirs.Index).Fill(7);
        Assert.Equal(BlockStatus.Done, other.TryOffer(theirs, 5, third.Self, out BlockReference theirMessage));
        Assert.Equal(BlockStatus.Done, pool.TryReserveChain(20 * BlockBytes, out BlockChain? chain));
        Assert.Equal(BlockStatus.Done, chain!.TryOffer(third.Self, out BlockReference reference));
        MemoryMarshal.Cast<byte, uint>(pool.BytesOf((int)reference.First))[entry] = (uint)theirs.Index;
        Assert.Equal(BlockStatus.NotOwned, receiver.TryAcceptChain(reference, out BlockChain? received));
        Assert.Null(received);
        Assert.Equal(default, pool.GetStatistics() with { Free = 0, Allocations = 0, NotOwned = 0 });
        Assert.Equal(1, pool.GetStatistics().NotOwned);
        Assert.Equal(50 - 1 - (20 + 2 - 1 - entry), pool.GetStatistics().Free);          // what was taken is free: the list, and what it names before the entry
        Assert.Equal(BlockStatus.Done, receiver.TryAcceptBlock(theirMessage, out Block accepted));
        Assert.Equal(BlockStatus.Done, receiver.TryGetBytes(accepted, out Span<byte> bytes));
        Assert.True(bytes.IndexOfAnyExcept((byte)7) < 0);
        Assert.Equal(BlockStatus.Done, receiver.Free(accepted));
        third.Dispose();                                         // what was not reached was offered to it still
        Pools.AssertWhole(pool, refusals: true);
    }

    [Fact]
    public void What_is_written_into_the_lists_after_the_accept_is_not_looked_at()
    {
        using Segment segment = Pools.Make(50, BlockBytes, 1, out BlockPool pool);
        using var second = Segment.Open(segment.File);
        BlockPool receiver = BlockPool.Open(second, 0);
        pool.TryReserveChain(20 * BlockBytes, out BlockChain? chain);
        chain!.Piece(19).Fill(9);
        chain.TryOffer(second.Self, out BlockReference reference);
        Assert.Equal(BlockStatus.Done, receiver.TryAcceptChain(reference, out BlockChain? received));
        pool.BytesOf((int)reference.First).Fill(0xFF);
        Assert.Equal(9, received!.Piece(19)[0]);
        received.Dispose();
        Pools.AssertWhole(pool);
    }
}
