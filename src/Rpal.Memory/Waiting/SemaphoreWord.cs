namespace Rpal.Memory.Waiting;

/// <summary>The count of a semaphore and its waiting parties, which change together.</summary>
/// <remarks><code>
///            Add n                            TryTake
/// count  0 ─────────► n, wakes up to n if anybody waits ─────────► n - 1 ... 0
/// </code>The word is read once, checked, and changed only if it is still what was checked.</remarks>
internal static unsafe class SemaphoreWord
{
    /// <summary>Others that change the word between reading and writing it make one try again; honest ones never this often in a row.</summary>
    public const int AttemptsLimit = 1 << 20;

    /// <summary>Takes one. TimedOut: there is none now.</summary>
    public static WaitStatus TryTake(SemaphoreBlock* block, uint limit)
    {
        for (int attempt = 0; attempt < AttemptsLimit; attempt++)
        {
            ulong state = Volatile.Read(ref block->State);
            uint count = (uint)state;
            if (count == 0)
            {
                return WaitStatus.TimedOut;
            }

            if (count > limit)
            {
                return WaitStatus.Corrupt;
            }

            if (Interlocked.CompareExchange(ref block->State, state - 1, state) == state)
            {
                return WaitStatus.Acquired;
            }
        }

        return WaitStatus.Corrupt;
    }

    /// <summary>Adds some.</summary>
    /// <param name="block">Where.</param>
    /// <param name="limit">Most that there may be then.</param>
    /// <param name="add">How many.</param>
    /// <param name="waiting">Parties that have announced themselves before. SYNC semaphore-waiter: pairs with Announcement.Enter.</param>
    public static ReleaseStatus Add(SemaphoreBlock* block, uint limit, uint add, out uint waiting)
    {
        waiting = 0;
        for (int attempt = 0; attempt < AttemptsLimit; attempt++)
        {
            ulong state = Volatile.Read(ref block->State);
            uint count = (uint)state;
            if (count > limit)
            {
                return ReleaseStatus.Corrupt;
            }

            if (add > limit - count)
            {
                return ReleaseStatus.Overflow;
            }

            if (Interlocked.CompareExchange(ref block->State, state + add, state) == state)
            {
                waiting = (uint)(state >> SemaphoreBlock.CountBits);
                return ReleaseStatus.Released;
            }
        }

        return ReleaseStatus.Corrupt;
    }
}
