using Rpal.Linux;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Waiting;

/// <summary>What a dead process leaves at semaphores: its announcement, its links to sets, and wake-ups that it owed or had been given. Can be repeated.</summary>
internal static unsafe class SemaphoreRecovery
{
    public static void Recover(Part part, int deadParty)
    {
        for (long at = 0; at + SemaphoreBlock.SizeBytes <= part.LengthBytes; at += SemaphoreBlock.SizeBytes)
        {
            Recover(part.Segment, part.Offset + at, deadParty);
        }
    }

    /// <summary>One; also for parts of other kinds that have semaphores inside.</summary>
    public static void Recover(Segment segment, long offset, int deadParty)
    {
        var block = (SemaphoreBlock*)(segment.Address + offset);
        for (int i = 0; i < SemaphoreBlock.LinkCapacity; i++)
        {
            var link = new SemaphoreLink(Volatile.Read(ref block->Links[i]));
            if (link.Party == deadParty)
            {
                SemaphoreLinks.Remove(block, i, link);
            }
        }

        if (Volatile.Read(ref block->State) == 0)
        {
            return;
        }

        ulong state = Interlocked.And(ref block->State, ~(1ul << SemaphoreBlock.CountBits + deadParty));
        KillPoints.Reach(KillPoint.RecoverCleared);
        if ((uint)state != 0)
        {
            _ = Sys.FutexWakeShared(&block->Count, int.MaxValue);     // the dead one had been woken for them, or had not yet woken
        }
    }
}

/// <summary>What a dead process leaves at sets: its seats, and bells that it still had to ring.</summary>
internal static unsafe class SemaphoreSetRecovery
{
    public static void Recover(Part part, int deadParty)
    {
        if (SetGeometry.Read(part) is not { } set)
        {
            return;
        }

        for (int i = 0; i < set.SeatCount; i++)
        {
            SeatBlock* seat = set.SeatAt(i);
            uint owner = Volatile.Read(ref seat->Owner);
            if (owner == (uint)deadParty + 1)
            {
                SetSeat.Clear(seat, set.MemberCapacity);
                Volatile.Write(ref seat->Owner, 0);
            }
            else if (owner != 0)
            {
                Doorbell.RingAll(seat, set.MemberCapacity);
            }
        }
    }
}
