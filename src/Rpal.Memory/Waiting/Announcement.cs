using Rpal.Linux;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Waiting;

/// <summary>
/// This process's bit in a semaphore's mask of waiting parties: set while any of its threads sleeps there, or is about to.
/// </summary>
/// <remarks>
/// A bit per party and not a count: whoever clears away a dead process knows exactly what to take back, and can do it twice. The threads of
/// one process count themselves in their own memory, under a lock, so that the bit is never taken back while one of them needs it.
/// </remarks>
internal sealed unsafe class Announcement(SemaphoreBlock* block, Segment segment)
{
    private readonly Lock _lock = new();
    private readonly ulong _bit = 1ul << SemaphoreBlock.CountBits + segment.Self.Number;
    private int _threads;

    /// <summary>Before the last look at the count. SYNC semaphore-waiter: pairs with SemaphoreWord.Add, both by a locked instruction on the same word.</summary>
    public void Enter()
    {
        lock (_lock)
        {
            if (_threads++ == 0)
            {
                Interlocked.Or(ref block->State, _bit);
            }
        }

        GC.KeepAlive(segment);                                   // its memory goes with the last reference to it
        SleepWatch.Rouse();
    }

    public void Leave()
    {
        lock (_lock)
        {
            if (--_threads == 0)
            {
                Interlocked.And(ref block->State, ~_bit);
            }
        }

        GC.KeepAlive(segment);
    }

    /// <summary>Wakes whoever sleeps here.</summary>
    /// <returns>Whether anybody does, or is about to, or is in the middle of coming or leaving.</returns>
    public bool WakeAll()
    {
        if (!_lock.TryEnter())
        {
            return true;                                         // and may be stopped there
        }

        try
        {
            return _threads != 0 && Sys.FutexWakeShared(&block->Count, int.MaxValue) >= 0;
        }
        finally
        {
            _lock.Exit();
            GC.KeepAlive(segment);
        }
    }

    /// <summary>By <see cref="SleepWatch"/>: sleepers beside tokens are woken, and what a hostile process may have erased is said again.</summary>
    /// <returns>Whether anybody sleeps, or is in the middle of coming or leaving.</returns>
    public bool Look()
    {
        if (!_lock.TryEnter())
        {
            return true;                                         // and may be stopped there: others must be looked after meanwhile
        }

        ulong state;
        try
        {
            if (_threads == 0)
            {
                return false;
            }

            state = Volatile.Read(ref block->State);
            if ((state & _bit) == 0)
            {
                state = Interlocked.Or(ref block->State, _bit);
            }
        }
        finally
        {
            _lock.Exit();
        }

        if ((uint)state != 0)
        {
            _ = Sys.FutexWakeShared(&block->Count, int.MaxValue);
        }

        GC.KeepAlive(segment);
        return true;
    }
}
