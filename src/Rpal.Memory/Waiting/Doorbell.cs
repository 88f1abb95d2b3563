using Rpal.Linux;

namespace Rpal.Memory.Waiting;

/// <summary>Ringing: what a releaser does for each set that its semaphore is in.</summary>
/// <remarks>
/// SYNC doorbell: the count is raised by a locked instruction, then the bell is set, then its word's bit in the summary, then parked is read. The waiter
/// (<see cref="SetSeat"/>) goes the other way: parked (locked), then the summary, then the bells, then the count. A bit that is set already need not be set
/// again: whoever clears it looks at the count afterwards. But the later steps are done in any case, because whoever set the bit may have died there.
/// </remarks>
internal static unsafe class Doorbell
{
    public static void Ring(SeatBlock* seat, int member)
    {
        ref ulong bells = ref ((ulong*)((byte*)seat + SeatBlock.BellsOffset))[member >> 6];
        ulong bell = 1ul << (member & 63), word = 1ul << (member >> 6);
        if ((Volatile.Read(ref bells) & bell) == 0)
        {
            Interlocked.Or(ref bells, bell);
        }

        KillPoints.Reach(KillPoint.RingBell);
        if ((Volatile.Read(ref seat->Summary) & word) == 0)
        {
            Interlocked.Or(ref seat->Summary, word);
        }

        KillPoints.Reach(KillPoint.RingSummary);
        WakeIfParked(seat);
    }

    /// <summary>One of those that ring wakes; if it dies before it does, <see cref="SleepWatch"/> does.</summary>
    public static void WakeIfParked(SeatBlock* seat)
    {
        if (Volatile.Read(ref seat->Parked) != 0 && Interlocked.Exchange(ref seat->Parked, 0) != 0)
        {
            KillPoints.Reach(KillPoint.RingWake);
            _ = Sys.FutexWakeShared(&seat->Parked, int.MaxValue);
        }
    }

    /// <summary>All bells: after a death, when nobody knows which the dead one still had to ring.</summary>
    public static void RingAll(SeatBlock* seat, int memberCapacity)
    {
        ulong* bells = (ulong*)((byte*)seat + SeatBlock.BellsOffset);
        int words = memberCapacity / 64;
        for (int w = 0; w < words; w++)
        {
            Interlocked.Or(ref bells[w], ulong.MaxValue);
        }

        Interlocked.Or(ref seat->Summary, words == 64 ? ulong.MaxValue : (1ul << words) - 1);
        Volatile.Write(ref seat->Parked, 0);
        _ = Sys.FutexWakeShared(&seat->Parked, int.MaxValue);
    }
}
