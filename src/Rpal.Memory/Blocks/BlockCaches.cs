using System.Runtime.CompilerServices;
using Rpal.Memory.Parties;
using Rpal.Memory.PerCpu;

namespace Rpal.Memory.Blocks;

/// <summary>
/// Which lists a thread pushes to and pops from: those of its CPU, where another's cache line is rarely in the way; first the lane, by sections
/// (<see cref="BlockLanes"/>), then the tagged list. Whoever finds both empty takes from the common list, then from the other CPUs', so no block is out of
/// reach; a block goes from list to list only through its word, never directly.
/// </summary>
internal static class BlockCaches
{
    /// <summary>Most blocks that a visit to another CPU brings onto the common list, beside the one that is asked for: the next who finds nothing need not go there.</summary>
    public const int RaidLimit = 32;

    /// <summary>Of a lane's length, a visit takes one part in this many.</summary>
    private const uint RaidShare = 2;

    /// <summary>The tagged list of this CPU.</summary>
    public static uint Own(PoolMemory m) => m.CacheCount == 0 ? 0 : 1 + (uint)Thread.GetCurrentProcessorId() % m.CacheCount;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PopResult TryPop(PoolMemory m, out uint index, out BlockWord free)
    {
        PopResult found = BlockLanes.TryPop(m, out index, out free);
        return found != PopResult.Empty ? found : TryPopLists(m, out index, out free);
    }

    /// <summary>Puts a block that is Releasing in a party's name where this CPU looks first.</summary>
    /// <returns>False: no list's head keeps still, and the block stays Releasing until its party's recovery.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool PutBack(PoolMemory m, uint index, BlockWord releasing)
    {
        KillPoints.Reach(KillPoint.PoolReleasing);
        if (BlockLanes.TryPush(m, index, out bool isFull))
        {
            KillPoints.Reach(KillPoint.PoolPushed);
            return true;
        }

        return m.PutOnList(index, releasing, isFull ? 0 : Own(m));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static PopResult TryPopLists(PoolMemory m, out uint index, out BlockWord free)
    {
        uint own = Own(m);
        PopResult found = BlockList.TryPop(m, own, out index, out free);
        return found != PopResult.Empty || m.CacheCount == 0 ? found : TryPopElsewhere(m, own, out index, out free);
    }

    private static PopResult TryPopElsewhere(PoolMemory m, uint own, out uint index, out BlockWord free)
    {
        PopResult found = BlockList.TryPop(m, 0, out index, out free);
        for (uint step = 1; step < m.CacheCount && found == PopResult.Empty; step++)
        {
            found = BlockList.TryPop(m, 1 + (own - 1 + step) % m.CacheCount, out index, out free);
        }

        for (uint cpu = 0; BlockLanes.AreUsable && cpu < BlockLanes.Cpus(m) && found == PopResult.Empty; cpu++)
        {
            if (!BlockLanes.IsEmpty(m, cpu))
            {
                found = Raid(m, cpu, out index, out free);
            }
        }

        return found;
    }

    /// <summary>Goes to another CPU, takes a block from its lane, and leaves some more on the common list.</summary>
    private static PopResult Raid(PoolMemory m, uint cpu, out uint index, out BlockWord free)
    {
        (PopResult found, uint popped, BlockWord word) = (PopResult.Empty, 0, default);
        _ = CpuVisit.TryOn(cpu, () =>
        {
            KillPoints.Reach(KillPoint.PoolVisiting);
            found = BlockLanes.TryPop(m, out popped, out word);
            uint more = found == PopResult.Popped ? Math.Min(BlockLanes.Length(m, cpu) / RaidShare, RaidLimit) : 0;
            while (more-- > 0 && BlockLanes.TryPop(m, out uint next, out BlockWord nextWord) == PopResult.Popped)
            {
                Spread(m, next, nextWord);
            }
        });
        (index, free) = (popped, word);
        return found;
    }

    /// <summary>From popped to the common list, as if it had been allocated and freed.</summary>
    private static void Spread(PoolMemory m, uint index, BlockWord free)
    {
        Party self = m.Part.Segment.Self;
        BlockWord releasing = BlockWord.Of(BlockState.Releasing, self.Number, self.Generation, free.Sequence + 1);
        if (m.TryChange(index, free, releasing))                 // no: a recovery took it for lost, and has put it back
        {
            m.CountMoved(1);
            KillPoints.Reach(KillPoint.PoolRaided);
            _ = m.PutBack(index, releasing, 0);
        }
    }
}
