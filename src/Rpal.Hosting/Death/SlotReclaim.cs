using Rpal.Hosting.Loading;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Death;

/// <summary>Gives a dead member's slot and area back, once nobody needs what lies there.</summary>
/// <remarks>
/// What pins a slot after its process is gone:
/// <code>
/// a sender's kernel thread still executes one of its contexts          (the death report chases it, for as long as it takes)
/// a receiver of another member works on a call that came from it       (request and answer lie in the slot)
/// a receiver writes its reply into one of its thread blocks
/// a kernel thread of a member that runs stands on one of its stacks    (its block says whose context it is in, also when that receiver is Dead already)
/// a thread copies from or to it                                        (it says so before it looks whether the member runs: SYNC copying)
/// a process that shares the address space, not yet exec'd (vfork)      (its stack lies in the slot)
/// </code>
/// Comes back? A slot's does not while this runs: it is given back last. A copier names the member's start, which never comes
/// again. The numbers of processes do: each is looked at again behind a descriptor before it is killed. Thread numbers are not used here.
/// The slot is unmapped; the area stays mapped, because a late look must find a word and not a fault, and is only emptied. A slot that
/// cannot be emptied is left out: nobody gets it any more.
/// </remarks>
internal sealed unsafe class SlotReclaim(Family family, int index, Action<string> notice, DeathReport? report = null)
{
    private const int FirstWaitMs = 1, LongestWaitMs = 250;

    /// <summary>From the member's end until a process is killed that shares the address space and has lost its parent.</summary>
    private const int OrphanPatienceMs = 1000;

    /// <summary>From the member's end until the operator is told that its slot is still in use.</summary>
    private const int SilenceMs = 30_000;

    private readonly long _area = FamilyLayout.MemberArea(index);

    private readonly long _began = Environment.TickCount64;

    private bool _isToldLate;

    /// <summary>Waits until nothing pins the slot, then frees it. After the death report.</summary>
    /// <returns>True.</returns>
    public bool TryAwait()
    {
        for (int wait = FirstWaitMs; !TryOnce(); wait = Math.Min(2 * wait, LongestWaitMs))
        {
            Thread.Sleep(wait);                                  // what pins a slot are words of processes that have no reason to tell us
        }

        return true;
    }

    /// <summary>Looks once, and frees the slot if nothing pins it. Does not wait.</summary>
    /// <returns>Whether it is free, or left out.</returns>
    public bool TryOnce()
    {
        if (IsPinned() || HasOrphans())
        {
            TellOnceIfLate();
            foreach (LostReceiver lost in new BorrowedReceivers(family).SettleLeft(index))
            {
                family.ReceiverLost?.Invoke(lost.Member, lost.Generation, lost.Describe("a member that has ended", hasLeft: false));
            }

            _ = report?.Look();
            return false;
        }

        Free();
        return true;
    }

    private void TellOnceIfLate()
    {
        if (!_isToldLate && Environment.TickCount64 - _began > SilenceMs)
        {
            _isToldLate = true;
            notice($"its slot, 0x{FamilyLayout.Slot(index):x}, is still in use {SilenceMs / 1000} s after its end, by calls of others "
                + "or processes that it left. It is given back when they end.");
        }
    }

    private void Free()
    {
        family.Aio.DestroyOf(index);                              // once more: an orphan may have made one
        bool isEmpty = Unmap(out string left);
        _ = Sys.Mprotect((nint)_area, (nuint)FamilyLayout.MemberAreaBytes, Prot.Read | Prot.Write);     // the guard pages split it
        _ = Sys.Madvise((nint)_area, (nuint)FamilyLayout.MemberAreaBytes, MemoryAdvice.DontNeed);
        family.Emptied(index);
        if (isEmpty)
        {
            family.Slots.Return(index);
        }
        else
        {
            notice($"its slot, 0x{FamilyLayout.Slot(index):x}, cannot be emptied ({left}): that stays until the family ends, "
                + $"and the slot is not used again. {family.Slots.LeaveOut()} slots of {FamilyLayout.MemberCapacity} are left.");
        }
    }

    /// <summary>The kernel unmaps all of a range or nothing: a sealed page keeps the rest.</summary>
    private bool Unmap(out string left)
    {
        long start = FamilyLayout.Slot(index), end = start + FamilyLayout.SlotBytes;
        left = "";
        int r = Sys.Munmap((nint)start, unchecked((nuint)FamilyLayout.SlotBytes));
        if (r == 0)
        {
            return true;
        }

        List<(long Start, long End)> mappings = [];
        _ = AddressMap.Read(start, end, mappings);
        foreach ((long from, long to) in mappings)
        {
            _ = Sys.Munmap((nint)from, (nuint)(to - from));
        }

        mappings.Clear();
        _ = AddressMap.Read(start, end, mappings);
        left = $"{ErrnoText.Describe(r)}; {mappings.Sum(static m => m.End - m.Start) >> 10} KiB in {mappings.Count} mappings";
        return mappings.Count == 0;
    }

    /// <summary>Such a process is about to exec, or it stands on memory that is nobody's: after a while it is killed, or it would keep every slot.</summary>
    private bool HasOrphans()
    {
        IReadOnlyList<int> orphans = AddressSpace.Orphans(Living());
        foreach (int pid in Environment.TickCount64 - _began > OrphanPatienceMs ? orphans : [])
        {
            _ = AddressSpace.KillOrphan(pid, Living());
        }

        return orphans.Count > 0;
    }

    private HashSet<int> Living() => [Environment.ProcessId, .. family.Members().Where(m => m != index && family.StateOf(m) == MemberState.Running).Select(family.PidOf)];

    private bool IsPinned()
    {
        foreach (int m in family.Members())
        {
            bool runs = family.StateOf(m) == MemberState.Running;
            for (int i = 0; i < FamilyLayout.ReceiverCapacity; i++)
            {
                ReceiverBlock* r = MemberBlock.Receiver(m, i);
                uint word = Volatile.Read(ref r->StateWord);
                ReceiverState state = (ReceiverState)(byte)word;
                runs |= state == ReceiverState.Foreign;          // of a dead member: somebody still executes it
                bool works = state is ReceiverState.Foreign or ReceiverState.Own;
                if (m == index ? state is ReceiverState.Ready or ReceiverState.Foreign or ReceiverState.Own
                    : ThreadBlock.ClaimerOf(word) == index || (works && IsOurs((nint)Volatile.Read(ref *(nint*)&r->Sender))) || IsOurs(Volatile.Read(ref *(nint*)&r->Pending)) || IsOurs(Volatile.Read(ref *(nint*)&r->Answering)))
                {
                    return true;
                }
            }

            if (runs && HasThreadIn(m, family.StateOf(m) == MemberState.Running))
            {
                return true;
            }
        }

        return false;
    }

    /// <param name="member">Whose threads.</param>
    /// <param name="lives">Whether its kernel threads exist: what a dead one's blocks say of where they stood is old.</param>
    private bool HasThreadIn(int member, bool lives)
    {
        ulong generation = family.GenerationOf(index);
        for (int t = 0; t < FamilyLayout.ThreadCapacity; t++)
        {
            ThreadBlock* thread = MemberBlock.Thread(member, t);
            if (Volatile.Read(ref thread->Tid) == 0)
            {
                break;                                           // blocks are handed out from the first on
            }

            bool copies = generation != 0 && Volatile.Read(ref thread->Copying) == generation;
            if (copies
                || (lives && (IsOurs(Volatile.Read(ref *(nint*)&thread->Current)) || IsOurs(Volatile.Read(ref *(nint*)&thread->Parked)))))
            {
                return true;
            }
        }

        return false;
    }

    private bool IsOurs(nint block) => block >= _area && block < _area + FamilyLayout.MemberAreaBytes;
}
