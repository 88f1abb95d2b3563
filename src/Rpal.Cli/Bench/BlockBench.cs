using System.Buffers;
using Rpal.Memory.Blocks;
using Rpal.Memory.Segments;

namespace Rpal.Cli.Bench;

/// <summary>What <c>rpal bench blocks</c> times.</summary>
internal static class BlockBench
{
    /// <summary>Parts of the segment: the pool with the common list only, the one with per-CPU lists changed by locked instructions, the one with sections, and the meeting place of two processes.</summary>
    public const int PlainPart = 0, AtomicsPart = 1, SectionsPart = 2, MeetingPart = 3;

    private static readonly Lock s_lock = new();
    private static readonly Stack<int> s_free = new(Enumerable.Range(0, BlockFigures.Blocks));

    public static Segment Make(out BlockPool plain, out BlockPool atomics, out BlockPool sections)
    {
        var options = new BlockPoolOptions { BlockBytes = BlockFigures.BlockBytes, BlockCount = BlockFigures.Blocks, Caches = 0 };
        var segment = Segment.Create(3 * BlockPool.LengthFor(options) + (1 << 20));
        plain = BlockPool.Create(segment, options);
        options = options with { Caches = Environment.ProcessorCount };
        atomics = BlockPool.Create(segment, options with { Sections = false });
        sections = BlockPool.Create(segment, options);
        segment.Add(PartKind.Bytes, BlockBenchPeer.MeetingBytes);
        return segment;
    }

    public static void Pairs(BlockPool pool, int pairs)
    {
        for (int i = 0; i < pairs; i++)
        {
            if (pool.TryAllocate(out Block block) != BlockStatus.Done || pool.Free(block) != BlockStatus.Done)
            {
                throw new BenchFailedException("The pool refused a block.");
            }
        }
    }

    public static void MutexPairs(int pairs)
    {
        for (int i = 0; i < pairs; i++)
        {
            int block;
            lock (s_lock)
            {
                block = s_free.Pop();
            }

            lock (s_lock)
            {
                s_free.Push(block);
            }
        }
    }

    public static void ArrayPoolPairs(int pairs)
    {
        for (int i = 0; i < pairs; i++)
        {
            ArrayPool<byte>.Shared.Return(ArrayPool<byte>.Shared.Rent(BlockFigures.BlockBytes));
        }
    }
}
