using System.Runtime.CompilerServices;
using Rpal.Machine.Emit;
using Rpal.Memory.PerCpu;

namespace Rpal.Memory.Blocks;

/// <summary>
/// The lists of free blocks that only their CPU changes, by restartable sections: no locked instruction. One for each CPU whose number is below
/// <see cref="PoolMemory.CacheCount"/>, beside that CPU's tagged list, which serves threads without sections.
/// </summary>
/// <remarks>
/// <para>Lane, u64: 0..31 index + 1 of the top, 0 when empty | 32..63 length. In the second cache line of its CPU's pair. Written by sections of threads on that CPU, read by all.</para>
/// <para>What is on a lane is Releasing, and its releaser has no more to do: a pop makes it Free by an ordinary store, while it is on top, and then takes it. So what was
/// popped and not claimed is always Free, as with <see cref="BlockList"/>. Source: docs/adr/0019, models/pool.pml.</para>
/// <para>Another CPU's lane is emptied by going there: <see cref="CpuVisit"/>.</para>
/// </remarks>
internal static unsafe class BlockLanes
{
    /// <summary>All lanes together hold at most one block in this many: the others are on lists that every thread reaches.</summary>
    public const uint StockShare = 2;

    /// <summary>Of a lane, from its CPU's tagged head.</summary>
    public const int Offset = 64;

    private const int LengthShift = 32;

    /// <summary>Whether this process has sections at all.</summary>
    public static bool AreUsable => PerCpuSections.AreUsed;

    /// <summary>Most blocks of one lane.</summary>
    public static uint Limit(BlockPoolLayout layout) => layout.CacheCount == 0 ? 0 : (uint)layout.BlockCount / (StockShare * (uint)layout.CacheCount);

    /// <returns>Whether it is there; no: that would be too many (<paramref name="isFull"/>; or the lane makes no sense), or there is no lane for this thread.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryPush(PoolMemory m, uint index, out bool isFull)
    {
        isFull = false;
        if (!m.PushesToLanes)
        {
            return false;
        }

        int pushed = PerCpuSections.PushBlock(m.Lanes, m.CacheCount, m.Links, index, m.LaneLimit, m.Count);
        isFull = pushed == Emitter.BlockNotPushed;
        return pushed == Emitter.BlockPushed;
    }

    /// <summary>From the lane of the CPU that the thread runs on. Empty also when it has none.</summary>
    /// <param name="m">The pool.</param>
    /// <param name="index">Of the block popped.</param>
    /// <param name="free">Its word while it was there: a claim must find it unchanged.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PopResult TryPop(PoolMemory m, out uint index, out BlockWord free)
    {
        if (!AreUsable || m.CacheCount == 0)
        {
            (index, free) = (0, default);
            return PopResult.Empty;
        }

        PerCpuBlock popped = PerCpuSections.PopBlock(m.Lanes, m.CacheCount, m.Links, m.Words, m.Count);
        (index, free) = ((uint)popped.Index, new BlockWord(popped.Word));
        if (popped.Index < 0)
        {
            return popped.Index == Emitter.PopCorrupt ? PopResult.Corrupt : PopResult.Empty;
        }

        KillPoints.Reach(KillPoint.PoolLanePopped);
        return PopResult.Popped;
    }

    /// <summary>CPUs that have a lane and can exist.</summary>
    public static uint Cpus(PoolMemory m) => Math.Min(m.CacheCount, (uint)PossibleCpus.Count);

    /// <summary>As seen from anywhere: a plain read.</summary>
    public static bool IsEmpty(PoolMemory m, uint cpu) => (uint)Volatile.Read(ref *m.Lane(cpu)) == 0;

    /// <summary>How long it says it is. Another process may have written there: for deciding how much to do, within bounds.</summary>
    public static uint Length(PoolMemory m, uint cpu) => (uint)(Volatile.Read(ref *m.Lane(cpu)) >> LengthShift);

    /// <summary>Forgets what is on a lane that makes no sense. Recovery only, on that CPU.</summary>
    public static void Reset(PoolMemory m, uint cpu) => Volatile.Write(ref *m.Lane(cpu), 0);
}
