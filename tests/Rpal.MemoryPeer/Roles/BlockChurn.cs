using Rpal.Memory.Blocks;
using Rpal.Memory.Parties;

namespace Rpal.MemoryPeer.Roles;

/// <summary>Allocates, frees, offers, accepts and chains at random. Each block is marked while it is held: another that gets the same block is found out.</summary>
public static class BlockChurn
{
    private const int HeldLimit = 6;

    /// <summary>Throws when a block is somebody else's too. Gives all back at the end.</summary>
    public static void Run(BlockPool pool, Party self, int rounds, int seed)
    {
        var random = new Random(seed);
        List<Block> held = [];
        for (int i = 0; i < rounds; i++)
        {
            switch (random.Next(8))
            {
                case < 4 when held.Count < HeldLimit:
                    Take(pool, held, seed);
                    break;
                case 6:
                    PassAlong(pool, self, held, random, seed);
                    break;
                case 7:
                    Chain(pool, self, random);
                    break;
                default:
                    Give(pool, held, random, seed);
                    break;
            }
        }

        while (held.Count > 0)
        {
            Give(pool, held, random, seed);
        }
    }

    public static void TakeAllAndGive(BlockPool pool, List<Block> held, int mark)
    {
        for (int before = -1; held.Count != before;)
        {
            before = held.Count;
            Take(pool, held, mark);
        }

        var random = new Random(held.Count);
        while (held.Count > 0)
        {
            Give(pool, held, random, mark);
        }
    }

    private static void Take(BlockPool pool, List<Block> held, int seed)
    {
        BlockStatus status = pool.TryAllocate(out Block block);
        if (status == BlockStatus.Done)
        {
            held.Add(block);
            Mark(pool, block).Fill((byte)seed);
        }

        Expect(status is BlockStatus.Done or BlockStatus.Exhausted, $"allocate: {status}");
    }

    private static void Give(BlockPool pool, List<Block> held, Random random, int seed)
    {
        if (held.Count > 0)
        {
            int i = random.Next(held.Count);
            Block block = held[i];
            held.RemoveAt(i);
            Expect(Mark(pool, block).IndexOfAnyExcept((byte)seed) < 0, $"block {block.Index} is somebody else's too");
            BlockStatus status = pool.Free(block);
            Expect(status == BlockStatus.Done, $"free of {block}: {status}");
        }
    }

    private static void PassAlong(BlockPool pool, Party self, List<Block> held, Random random, int seed)
    {
        if (held.Count > 0)
        {
            int i = random.Next(held.Count);
            Expect(pool.TryOffer(held[i], 5, self, out BlockReference r) == BlockStatus.Done, "offer");
            Expect(pool.TryAcceptBlock(r, out Block block) == BlockStatus.Done, "accept");
            held[i] = block;
            Expect(Mark(pool, block).IndexOfAnyExcept((byte)seed) < 0, $"block {block.Index} is somebody else's too");
        }
    }

    private static void Chain(BlockPool pool, Party self, Random random)
    {
        BlockStatus status = pool.TryReserveChain(random.Next(pool.BlockBytes * 5), out BlockChain? chain);
        if (status == BlockStatus.Done)
        {
            Expect(chain!.TryOffer(self, out BlockReference r) == BlockStatus.Done, "offer of a chain");
            Expect(pool.TryAcceptChain(r, out chain) == BlockStatus.Done, "accept of a chain");
            Expect(chain!.Free() == BlockStatus.Done, "free of a chain");
        }

        Expect(status is BlockStatus.Done or BlockStatus.Exhausted, $"reserve of a chain: {status}");
    }

    private static Span<byte> Mark(BlockPool pool, Block block)
    {
        BlockStatus status = pool.TryGetBytes(block, out Span<byte> bytes);
        Expect(status == BlockStatus.Done, $"bytes of {block}: {status}");
        return bytes[..16];
    }

    private static void Expect(bool condition, string what)
    {
        if (!condition)
        {
            throw new InvalidOperationException(what);
        }
    }
}
