using System.Diagnostics;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Rpal.Linux;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Parties;

/// <summary>
/// Who has opened a segment, who of them lives, and the clearing away of those who died.
/// </summary>
/// <remarks>
/// <para>A party holds a lock (F_OFD_SETLK) on a byte of the segment's file, far behind its end: byte <see cref="LockBase"/> + number. The kernel
/// releases it however the process ends, and tells others whether it is held: no process numbers, which mean nothing in another PID namespace
/// and come again, and no heartbeat, which takes a stopped process for a dead one.</para>
/// <para>Comes back: a party's number, once it has left or was cleared away. <see cref="PartyEntry.Generation"/> tells it from the next one
/// that has it.</para>
/// <para>Such locks belong to an open file description, so each party opens the file anew (/proc/self/fd); a descriptor that was passed
/// shares its sender's. This one is not passed, so that no receiver can keep or release the lock. One page of it is mapped
/// (<see cref="LockKeep"/>): the kernel releases the lock when both the process and its memory are gone. A forked child that keeps the
/// descriptor keeps the lock.</para>
/// </remarks>
internal sealed unsafe class PartyTable
{
    /// <summary>Processes that can have one segment open at the same time.</summary>
    public const int Capacity = 32;

    /// <summary>Longest wait for another process that is clearing away a dead one, or adding a part.</summary>
    public static readonly TimeSpan LockPatience = TimeSpan.FromSeconds(2);

    internal const long LockBase = 1L << 60;
    private const long RecoveryLock = LockBase + Capacity, PartsLock = RecoveryLock + 1;

    private readonly Lock _lock = new();                         // the kernel's locks do not keep threads of one process apart
    private readonly Segment _segment;
    private readonly SafeFileHandle _file;
    private readonly bool _isHeir;
    private LockKeep? _keep;
    private bool _hasJoined;

    /// <param name="segment">The segment, mapped.</param>
    /// <param name="file">A description that nothing else uses, see <see cref="SegmentFile.ForLocks"/>. Becomes the table's.</param>
    public PartyTable(Segment segment, SafeFileHandle file) => (_segment, _file) = (segment, file);

    /// <summary>Makes the heir's, which acts for a party whose own view of the segment is gone.</summary>
    /// <param name="segment">The segment, mapped a second time.</param>
    /// <param name="former">That party's. Its file stays its own.</param>
    public PartyTable(Segment segment, PartyTable former) => (_segment, _file, Self, _isHeir) = (segment, former._file, former.Self, true);

    private PartyEntry* Entries => (PartyEntry*)(_segment.Address + SegmentHeader.PartiesOffset);

    /// <summary>This process; valid after <see cref="Join"/>.</summary>
    public Party Self { get; private set; }

    /// <summary>Takes a number. Numbers of processes that died are cleared away first.</summary>
    /// <exception cref="SegmentException">TooManyParties; NoMemory; KernelRefused; RecoveryBusy.</exception>
    public void Join()
    {
        _keep = new LockKeep(_file, _segment.Pages);
        try
        {
            TakeNumber();
        }
        catch
        {
            _keep.Unmap();
            throw;
        }
    }

    private void TakeNumber()
    {
        using var use = new HandleUse(_file);
        for (int n = 0; n < Capacity; n++)
        {
            int r = Sys.LockByte(use.Fd, LockBase + n);
            if (r == 0)
            {
                if (StateOf(n) == PartyState.Active)
                {
                    Recover(n);
                }

                Enter(n);
                return;
            }

            if (r != -(int)Errno.EAGAIN && r != -(int)Errno.EACCES)
            {
                throw new SegmentException(SegmentError.KernelRefused, $"Locking byte {n} of the segment's file (fcntl, F_OFD_SETLK): {ErrnoText.Describe(r)}.");
            }
        }

        throw new SegmentException(SegmentError.TooManyParties, $"The segment is open in {Capacity} processes, the most there can be: close it in one of them.");
    }

    /// <summary>Gives the number back, once no thread of this process can reach the segment's memory. What it still holds is treated as a
    /// dead one's.</summary>
    /// <param name="heir">The table as the heir sees it; null: there is none, and all is left as by a death, to whoever comes.</param>
    public void Leave(PartyTable? heir)
    {
        lock (_lock)                                             // a thread that recovers has the recovery lock in this process's name
        {
            try
            {
                heir?.ClearAwayFormer();
            }
            finally
            {
                Unlock();
            }
        }
    }

    /// <summary>Closes a forked child's copy of the description. The lock is its parent's, and stays.</summary>
    public void Forget()
    {
        _keep?.Forget();
        _file.Dispose();
    }

    private void Unlock()
    {
        _keep?.Unmap();
        try
        {
            using var use = new HandleUse(_file);
            _ = Sys.UnlockByte(use.Fd, LockBase + Self.Number);  // not by closing it: a forked child may have the description too
        }
        finally
        {
            _file.Dispose();
        }
    }

    private void ClearAwayFormer()
    {
        try
        {
            Recover(Self.Number);
            KillPoints.Reach(KillPoint.CloseRecovered);
            Set(Self.Number, PartyState.Free);
            KillPoints.Reach(KillPoint.CloseFreed);
        }
        catch (SegmentException e) when (e.Error == SegmentError.RecoveryBusy)
        {
            // The entry stays Active and the lock goes: that is what a death looks like.
        }
    }

    /// <summary>Whether a party's process still has the segment open. Costs a system call.</summary>
    public bool IsAlive(int number)
    {
        if ((uint)number >= Capacity || number == Self.Number)
        {
            return (uint)number < Capacity;
        }

        using var use = new HandleUse(_file);
        return Sys.IsByteLocked(use.Fd, LockBase + number) == 1;
    }

    /// <summary>Whether it is still this very party, and not another that has its number by now.</summary>
    public bool IsAlive(Party party) => IsAlive(party.Number) && Volatile.Read(ref Entries[party.Number].Generation) == party.Generation;

    /// <summary>Which of the processes that had a number it is, or was last.</summary>
    public uint GenerationOf(int number) => Volatile.Read(ref Entries[number].Generation);

    /// <summary>Whether it has not left, as the table says: no system call, and a party that died is still there until it is cleared away.</summary>
    public bool IsEntered(Party party) => (uint)party.Number < Capacity && StateOf(party.Number) == PartyState.Active && Volatile.Read(ref Entries[party.Number].Generation) == party.Generation;

    /// <summary>The party that has a number now; null when none has.</summary>
    public Party? Find(int number) =>
        IsAlive(number) && StateOf(number) == PartyState.Active ? new Party(number, Volatile.Read(ref Entries[number].Generation)) : null;

    /// <summary>For messages: "party 3 (process 4711, orders)".</summary>
    public string Describe(int number)
    {
        if ((uint)number >= Capacity)
        {
            return $"party {number}, which does not exist";
        }

        int length = 0;
        byte* name = Entries[number].Name;
        Span<byte> copy = stackalloc byte[PartyEntry.NameBytes];
        new ReadOnlySpan<byte>(name, PartyEntry.NameBytes).CopyTo(copy);       // another process may write it meanwhile
        while (length < copy.Length && copy[length] is >= 0x20 and < 0x7f)
        {
            length++;
        }

        return $"party {number} (process {Entries[number].Pid}, {Encoding.ASCII.GetString(copy[..length])})";
    }

    /// <summary>Clears away every party whose process has died.</summary>
    /// <returns>How many there were.</returns>
    public int Sweep()
    {
        lock (_lock)
        {
            int found = 0;
            for (int n = 0; n < Capacity; n++)
            {
                found += n != Self.Number && StateOf(n) == PartyState.Active && ClearAway(n) ? 1 : 0;
            }

            return found;
        }
    }

    /// <summary>Clears away a number that something still names, if no process has it: also one that was cleared away already, for whatever named it just after that.</summary>
    /// <returns>Whether it was done.</returns>
    public bool ClearAwayIfDead(int n)
    {
        lock (_lock)
        {
            return (uint)n < Capacity && n != Self.Number && ClearAway(n, evenIfFree: true);
        }
    }

    private bool ClearAway(int n, bool evenIfFree = false)
    {
        using var use = new HandleUse(_file);
        if (Sys.LockByte(use.Fd, LockBase + n) != 0)
        {
            return false;                                        // it lives, or somebody else is at it
        }

        try
        {
            if (!evenIfFree && StateOf(n) != PartyState.Active)
            {
                return false;
            }

            Recover(n);
            Set(n, PartyState.Free);
            return true;
        }
        finally
        {
            _ = Sys.UnlockByte(use.Fd, LockBase + n);
        }
    }

    private PartyState StateOf(int n) => (PartyState)Volatile.Read(ref Entries[n].State);

    private void Set(int n, PartyState state) => Volatile.Write(ref Entries[n].State, (uint)state);

    private void Enter(int n)
    {
        PartyEntry* entry = Entries + n;
        entry->Generation++;
        entry->Pid = Environment.ProcessId;
        Span<byte> name = new(entry->Name, PartyEntry.NameBytes);
        name.Clear();
        Encoding.ASCII.TryGetBytes(Path.GetFileName(Environment.ProcessPath) ?? "", name, out _);
        Self = new Party(n, entry->Generation);
        Set(n, PartyState.Active);
        _hasJoined = true;
    }

    /// <summary>
    /// Clears away what a party held, under its lock, one recovery of a segment at a time. No thread of that party can make one more step
    /// into the segment's memory: its process has died, or its view has become a tombstone. A process that dies here leaves the rest to the
    /// next: every step can be repeated.
    /// </summary>
    private void Recover(int n)
    {
        Debug.Assert(_isHeir || !_hasJoined || n != Self.Number, "This process's own threads could go on in what is given back.");
        WhileLocked(RecoveryLock, SegmentError.RecoveryBusy, "clearing away a dead one's share of the segment", () => _segment.Recover(n));
    }

    /// <summary>Adds to the table of parts, one process at a time. One that dies here leaves at most a gap.</summary>
    /// <exception cref="SegmentException">PartsBusy.</exception>
    public void WhileAddingPart(Action add) => WhileLocked(PartsLock, SegmentError.PartsBusy, "adding a part to the segment", add);

    private void WhileLocked(long lockByte, SegmentError busy, string doing, Action work)
    {
        using var use = new HandleUse(_file);
        long until = Environment.TickCount64 + (long)LockPatience.TotalMilliseconds;
        while (Sys.LockByte(use.Fd, lockByte) != 0)
        {
            if (Environment.TickCount64 > until)
            {
                throw new SegmentException(busy, $"Another process has been {doing} for over {LockPatience.TotalSeconds:0} s: it may be stopped or hostile. Nothing was changed.");
            }

            Thread.Sleep(1);                                     // held for microseconds, and only after a death or while parts are made
        }

        try
        {
            work();
        }
        finally
        {
            _ = Sys.UnlockByte(use.Fd, lockByte);
        }
    }
}
