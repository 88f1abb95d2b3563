using System.Numerics;
using Rpal.Memory.Parties;

namespace Rpal.Memory.Buffers;

internal sealed unsafe partial class BufferLock
{
    /// <summary>Gives back what a dead party holds. Every step can be repeated: whoever does it may die as well.</summary>
    /// <remarks>Under the segment's recovery lock, for a party whose number nobody can have meanwhile.</remarks>
    public void Recover(int dead)
    {
        FreeDeadWriter(dead);
        for (int seat = 0; seat < LockWord.ReaderBits; seat++)
        {
            ulong owner = SeatOwner(seat);
            if (owner != 0 && ReaderSeat.PartyOf(owner) == dead)
            {
                _ = ClearReader(seat);                           // its bit may not have been set yet, or not any more
                KillPoints.Reach(KillPoint.BufferRecovering);
                _ = Interlocked.CompareExchange(ref header->Seats[seat], 0, owner);
            }
        }

        Wake();
    }

    /// <summary>Clears reader bits whose seat nobody has. No death leaves such; somebody wrote over the header.</summary>
    public void ClearOrphans()
    {
        for (uint left = Word.Readers; left != 0; left &= left - 1)
        {
            // Who sits in a seat owns its bit: so nobody can set it meanwhile.
            int seat = BitOperations.TrailingZeroCount(left);
            ulong owner = NextOwner();
            if (SeatOwner(seat) == 0 && Interlocked.CompareExchange(ref header->Seats[seat], owner, 0) == 0)
            {
                if (ClearReader(seat))
                {
                    _ = Corrupted();
                }

                _ = Interlocked.CompareExchange(ref header->Seats[seat], 0, owner);
                Wake();
            }
        }
    }

    /// <summary>Frees what is on its way to a process that is gone, and whose number another has: that one does not pick it up. Whoever handed it over has died as well, or it would take it back.</summary>
    public void FreeStray(Func<int, uint> generationOf)
    {
        LockWord word = Word;
        if (word.IsSane && word.IsOnItsWay && !word.IsHandedTo(new Party(word.Writer, generationOf(word.Writer))) && Exchange(word, word.Freed(word.IsTorn)))
        {
            Wake();
        }
    }

    private void FreeDeadWriter(int dead)
    {
        for (int attempt = 0; attempt < ContentionLimit; attempt++)
        {
            LockWord word = Word;
            if (word.Writer != dead)
            {
                return;
            }

            // What was handed over and not picked up is complete; what was taken may be half-written.
            if (Exchange(word, word.Freed(torn: word.IsTorn || word.WriterThread != 0)))
            {
                KillPoints.Reach(KillPoint.BufferRecovering);
                return;
            }
        }

        _ = Corrupted();
    }
}
