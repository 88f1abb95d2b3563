namespace Rpal.Memory.Blocks;

/// <summary>What a pop found.</summary>
internal enum PopResult : byte
{
    Popped,
    Empty,
    Corrupt,
}

/// <summary>A stack of free blocks (Treiber's), linked by indices. Its head has a tag that every change increases, so a head that comes back is not taken for one that stayed.</summary>
/// <remarks>
/// <para>Head, u64: 0..23 index + 1 of the top, 0 when empty | 24..63 tag. 2^40 changes during one process's pop are half a day of nothing else.</para>
/// <para>What is on a list is Free, or Releasing with only the word's last step to go, which a pop does first. So a block that was popped and
/// not yet claimed is always Free: if its popper dies, recovery sees that it is Free and on no list. Source: docs/adr/0015, models/pool.pml.</para>
/// </remarks>
internal static unsafe class BlockList
{
    public const int IndexBits = 24;

    /// <summary>Compare-and-swaps of one push or pop. Each that fails is another's success, so only a process that writes without rhyme or reason exhausts it.</summary>
    public const int AttemptsLimit = 1 << 20;

    private const uint IndexMask = (1 << IndexBits) - 1;

    /// <summary>A head with another top and the next tag.</summary>
    public static ulong Top(ulong head, uint link) => (((head >> IndexBits) + 1) << IndexBits) | link;

    /// <summary>The top's index + 1.</summary>
    public static uint Link(ulong head) => (uint)head & IndexMask;

    /// <param name="m">The pool.</param>
    /// <param name="list">Which.</param>
    /// <param name="index">Of the block popped.</param>
    /// <param name="free">Its word while it was on the list: a claim must find it unchanged.</param>
    public static PopResult TryPop(PoolMemory m, uint list, out uint index, out BlockWord free)
    {
        ulong* at = m.Head(list);
        for (int attempt = 0; attempt < AttemptsLimit; attempt++)
        {
            ulong head = Volatile.Read(ref *at);                 // SYNC list-head: pairs with TryPush
            uint link = Link(head);
            index = link - 1;
            free = default;
            if (link == 0)
            {
                return PopResult.Empty;
            }

            if (link > m.Count)
            {
                return PopResult.Corrupt;
            }

            free = m.Word(index);                                // after the head: of this stay, if the head is still the same
            uint next = Volatile.Read(ref m.Links[index]);
            if (free.State != BlockState.Free || next > m.Count)
            {
                if (Volatile.Read(ref *at) != head)
                {
                    continue;                                    // the word and the link were of another stay
                }

                if (next > m.Count || free.State != BlockState.Releasing)
                {
                    return PopResult.Corrupt;
                }

                BlockWord done = BlockWord.Free(free.Sequence);
                if (!m.TryChange(index, free, done))
                {
                    continue;
                }

                KillPoints.Reach(KillPoint.PoolHelped);
                free = done;
            }

            if (Interlocked.CompareExchange(ref *at, Top(head, next), head) == head)
            {
                KillPoints.Reach(KillPoint.PoolPopped);
                return PopResult.Popped;
            }
        }

        (index, free) = (0, default);
        return PopResult.Corrupt;
    }

    /// <returns>False: <see cref="AttemptsLimit"/> is exhausted.</returns>
    public static bool TryPush(PoolMemory m, uint list, uint index)
    {
        ulong* at = m.Head(list);
        for (int attempt = 0; attempt < AttemptsLimit; attempt++)
        {
            ulong head = Volatile.Read(ref *at);
            Volatile.Write(ref m.Links[index], Link(head) <= m.Count ? Link(head) : 0);
            if (Interlocked.CompareExchange(ref *at, Top(head, index + 1), head) == head)         // SYNC list-head: pairs with TryPop
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Forgets what is on a list that makes no sense. Recovery only, which finds the blocks again by their words.</summary>
    public static void Reset(PoolMemory m, uint list)
    {
        ulong* at = m.Head(list);
        for (int attempt = 0; attempt < AttemptsLimit; attempt++)
        {
            ulong head = Volatile.Read(ref *at);
            if (Interlocked.CompareExchange(ref *at, Top(head, 0), head) == head)
            {
                return;
            }
        }
    }
}
