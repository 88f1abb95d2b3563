using Rpal.Linux;

namespace Rpal.Memory.Buffers;

internal sealed unsafe partial class BufferLock
{
    /// <summary>Longest sleep before a waiter looks whether the holder lives.</summary>
    public const int SliceMs = 20;

    /// <summary>Most turns of spinning before a sleep; a turn is a PAUSE, some 20 to 60 ns.</summary>
    public const int SpinTurnsLimit = 64;

    /// <summary>Fewest turns where spinning is allowed at all (<see cref="Waiting.SpinAllowance"/>): enough to notice that it pays again.</summary>
    public const int SpinTurnsLeast = 4;

    private const uint SomebodyWaits = 1;

    private int _spinTurns = SpinTurnsLeast;

    /// <summary>Takes it, waiting for it if need be. No wake-up is lost; and if one were, it would cost a slice.</summary>
    /// <param name="kind">Which lease.</param>
    /// <param name="timeoutMs">Longest wait.</param>
    /// <param name="look">Called between sleeps with what is in the way, which may have died.</param>
    /// <param name="take">The lease.</param>
    /// <returns>As the last attempt.</returns>
    public BufferStatus Lock(LeaseKind kind, long timeoutMs, Action look, out Take take)
    {
        BufferStatus status = Spin(kind, out take);
        long until = Environment.TickCount64 + timeoutMs, nextLook = Environment.TickCount64 + SliceMs;
        while (status is not (BufferStatus.Taken or BufferStatus.Corrupt))
        {
            uint seen = Announce();
            status = Try(kind, out take);                        // SYNC buffer-wait: the flag before this look; pairs with Wake
            long left = until - Environment.TickCount64;
            if (status is BufferStatus.Taken or BufferStatus.Corrupt || left <= 0)
            {
                return status;
            }

            KillPoints.Reach(KillPoint.BufferWaiting);
            _ = Sys.FutexWaitShared(&header->Wait, seen, Math.Min(left, SliceMs) * 1_000_000);
            if (Environment.TickCount64 >= nextLook)             // by the clock: wake-ups may come and come
            {
                look();
                nextLook = Environment.TickCount64 + SliceMs;
            }

            status = Try(kind, out take);
        }

        return status;
    }

    private BufferStatus Spin(LeaseKind kind, out Take take)
    {
        BufferStatus status = Try(kind, out take);
        int turns = status is BufferStatus.Taken or BufferStatus.Corrupt || !Waiting.SpinAllowance.OfProcess.MaySpin() ? 0 : _spinTurns;
        for (int turn = 0; turn < turns && status is not (BufferStatus.Taken or BufferStatus.Corrupt); turn++)
        {
            Thread.SpinWait(1);
            status = Try(kind, out take);
            if (status == BufferStatus.Taken)
            {
                _spinTurns = Math.Min(SpinTurnsLimit, turns * 2);
                return status;
            }
        }

        if (status != BufferStatus.Taken && turns > 0)
        {
            _spinTurns = Math.Max(turns / 2, SpinTurnsLeast);
        }

        return status;
    }

    /// <summary>Says that somebody waits.</summary>
    /// <returns>The futex's value to sleep on.</returns>
    private uint Announce()
    {
        uint seen = Volatile.Read(ref header->Wait);
        if ((seen & SomebodyWaits) == 0)
        {
            _ = Interlocked.CompareExchange(ref header->Wait, seen | SomebodyWaits, seen);       // whoever was faster has changed it: then the sleep ends at once
        }
        else
        {
            Interlocked.MemoryBarrier();
        }

        return seen | SomebodyWaits;
    }

    /// <summary>Wakes whoever waits; after the word was changed, and a fence.</summary>
    private void Wake()
    {
        uint seen = Volatile.Read(ref header->Wait);             // SYNC buffer-wait: after the word; pairs with Lock
        if ((seen & SomebodyWaits) == 0)
        {
            return;
        }

        // Adding one clears the flag and counts on. When another was faster, it has cleared it and wakes, or a waiter of later has looked after our change.
        if (Interlocked.CompareExchange(ref header->Wait, seen + 1, seen) == seen)
        {
            _ = Sys.FutexWakeShared(&header->Wait, int.MaxValue);
        }
    }
}
