using System.Text;
using Rpal.Memory.Blocks;
using Rpal.Memory.Parties;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Tests.Blocks;

/// <summary>The examples of docs/memory/blocks.md, in one process.</summary>
public sealed class BlockDocumentationTests
{
    [Fact]
    public void One_block()
    {
        using Segment segment = Segment.Create(16 << 20);
        BlockPool pool = BlockPool.Create(segment, new BlockPoolOptions { BlockBytes = 4096, BlockCount = 2048 });
        Party peer = segment.Self;
        BlockReference reference = default;
        if (pool.TryReserve(out BlockLease lease) == BlockStatus.Done)
        {
            int length = Encoding.UTF8.GetBytes("hello", lease.Bytes);
            Block block = lease.Commit();
            Assert.Equal(BlockStatus.Done, pool.TryOffer(block, length, peer, out reference));
        }

        string? read = null;
        if (pool.TryAcceptBlock(reference, out Block received) == BlockStatus.Done
            && pool.TryGetBytes(received, out Span<byte> bytes) == BlockStatus.Done)
        {
            read = Encoding.UTF8.GetString(bytes[..(int)reference.LengthBytes]);
            pool.Free(received);
        }

        Assert.Equal("hello", read);
        Pools.AssertWhole(pool);
    }

    [Fact]
    public void A_chain()
    {
        using Segment segment = Segment.Create(16 << 20);
        BlockPool pool = BlockPool.Create(segment, new BlockPoolOptions { BlockBytes = 4096, BlockCount = 2048 });
        BlockReference reference = default;
        if (pool.TryReserveChain(1_000_000, out BlockChain? chain) == BlockStatus.Done)
        {
            for (int i = 0; i < chain!.PieceCount; i++)
            {
                chain.Piece(i).Fill((byte)i);
            }

            Assert.Equal(BlockStatus.Done, chain.TryOffer(segment.Self, out reference));
        }

        byte[] buffer = new byte[1_000_000];
        if (pool.TryAcceptChain(reference, out BlockChain? message) == BlockStatus.Done)
        {
            using (message)
            {
                Assert.Equal(buffer.Length, message!.CopyTo(buffer));
            }
        }

        Assert.Equal(Enumerable.Range(0, buffer.Length).Select(i => (byte)(i / 4096)), buffer);
        Pools.AssertWhole(pool);
    }
}
