namespace Rpal.Memory.Waiting;

/// <summary>The list in a semaphore of the doorbells that it rings.</summary>
/// <remarks><code>
/// free (0, not in the mask) ──CAS──► written ──► in the mask ──► written ──► free
///                                    LinkWritten              LinkMasked
/// </code>Out of the mask before it is free: else the bit of the next owner would be taken. Only the owner, and whoever clears away a dead owner, goes along it.</remarks>
internal static unsafe class SemaphoreLinks
{
    /// <summary>Adds a link.</summary>
    /// <returns>Its number, or -1: all are in use.</returns>
    public static int Add(SemaphoreBlock* block, SemaphoreLink link)
    {
        for (int i = 0; i < SemaphoreBlock.LinkCapacity; i++)
        {
            if (Interlocked.CompareExchange(ref block->Links[i], link.Word, 0) == 0)
            {
                KillPoints.Reach(KillPoint.LinkWritten);
                Interlocked.Or(ref block->LinkMask, 1u << i);
                return i;
            }
        }

        return -1;
    }

    public static void Remove(SemaphoreBlock* block, int number, SemaphoreLink link)
    {
        if (Volatile.Read(ref block->Links[number]) == link.Word)
        {
            Interlocked.And(ref block->LinkMask, ~(1u << number));
            KillPoints.Reach(KillPoint.LinkMasked);
            Interlocked.CompareExchange(ref block->Links[number], 0, link.Word);
        }
    }

    /// <summary>Rings all. A link that points to no seat is counted as corrupt and passed over.</summary>
    public static void Ring(SharedSemaphore semaphore, uint mask)
    {
        for (int i = 0; i < SemaphoreBlock.LinkCapacity; i++)
        {
            if ((mask >> i & 1) == 0)
            {
                continue;
            }

            var link = new SemaphoreLink(Volatile.Read(ref semaphore.Block->Links[i]));
            if (link.Word == 0)
            {
                continue;                                        // taken away since
            }

            SeatBlock* seat = semaphore.Waits.SeatOf(link, out _);
            if (seat is null)
            {
                semaphore.Waits.CountCorrupt();
            }
            else
            {
                Doorbell.Ring(seat, link.Member);
            }
        }
    }

    /// <summary>Parties that have links here.</summary>
    public static uint Parties(SemaphoreBlock* block)
    {
        uint parties = 0;
        for (int i = 0; i < SemaphoreBlock.LinkCapacity; i++)
        {
            int party = new SemaphoreLink(Volatile.Read(ref block->Links[i])).Party;
            parties |= party is >= 0 and < 32 ? 1u << party : 0;
        }

        return parties;
    }
}
