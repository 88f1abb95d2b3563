namespace Rpal.Memory.Blocks;

/// <summary>
/// Which list a thread pushes to and pops from: that of its CPU, where another's cache line is rarely in the way. Whoever finds its own empty takes from
/// the common list, then from the other CPUs', so no block is out of reach; a block goes from list to list only through a claim, never directly.
/// </summary>
/// <remarks>A CPU's list is an ordinary tagged list, so a thread that was moved meanwhile does no harm. A restartable sequence could take the place of its two compare-and-swaps.</remarks>
internal static class BlockCaches
{
    public static uint Own(PoolMemory m) => m.CacheCount == 0 ? 0 : 1 + (uint)Thread.GetCurrentProcessorId() % m.CacheCount;

    public static PopResult TryPop(PoolMemory m, out uint index, out BlockWord free)
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

        return found;
    }
}
