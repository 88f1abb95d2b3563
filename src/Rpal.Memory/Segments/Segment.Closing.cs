using System.Diagnostics;
using Rpal.Linux;

namespace Rpal.Memory.Segments;

/// <remarks>
/// Closing it in this process. A party may be cleared away only when no thread of it can make one more step into the segment's memory. Of a
/// process that has died that is so; of one that closes, its threads go on. So the memory is taken away first, and what the party held is
/// given back afterwards, through another view of the file:
/// <code>
/// 1 users end what runs (<see cref="ISegmentUser"/>)             this process is a living party
/// 2 Closed: nothing is begun; sleepers are sent away
/// 3 a second view of the file is mapped: the heir
/// 4 the tombstone replaces the first view                        the instant of death: whatever a thread was in the middle of ends here
/// 5 the heir recovers this party, as any process does a dead one's
/// 6 the party's entry is free, its lock is released
/// </code>
/// Where the kernel refuses 3, steps 5 and 6 are left to whoever comes: the entry stays Active, the lock is released, which is what a death
/// looks like. Where it refuses 4, this process stays a living party until nothing in it refers to the segment any more. Source:
/// docs/adr/0020, models/pool.pml and models/lock.pml (CLOSE).
/// </remarks>
public sealed unsafe partial class Segment
{
    private readonly int _process = Sys.GetPid();
    private readonly List<ISegmentUser> _users = [];             // its own lock
    private readonly Lock _closing = new();                      // taken before _lock, which is not held while users end what runs
    private Tombstone? _tombstone;
    private volatile SegmentState _state;

    /// <summary>Makes the heir: the same file, seen at another place, to act for a party whose own view is gone.</summary>
    private Segment(Segment former, nint at)
    {
        (_file, LengthBytes, Pages, _used) = (former._file, former.LengthBytes, former.Pages, former._used);
        _memory = (byte*)at;
        _parties = new(this, former._parties);
    }

    /// <summary>From here on nothing is begun in it.</summary>
    internal bool IsClosed => _state >= SegmentState.Closed;

    internal void ThrowIfClosed() => ObjectDisposedException.ThrowIf(IsClosed, this);

    /// <summary>Has somebody told when it is closed.</summary>
    /// <exception cref="ObjectDisposedException">It is being closed, and the user would not be told: what it has begun is its own to
    /// end.</exception>
    internal void Attach(ISegmentUser user)
    {
        lock (_users)
        {
            ObjectDisposedException.ThrowIf(_state != SegmentState.Open, this);
            _users.Add(user);
        }
    }

    internal void Detach(ISegmentUser user)
    {
        lock (_users)
        {
            _users.Remove(user);
        }
    }

    /// <summary>
    /// Closes it: what this process holds of it is given back, waits in it end with an <see cref="ObjectDisposedException"/>, and so does
    /// every later use. Threads may use it meanwhile: what one of them is in the middle of has happened or not, as if the process had died
    /// there. Its memory goes back at once; its addresses only when nothing in this process refers to it any more, so that a thread in the
    /// middle of something writes to nobody, instead of ending the process.
    /// </summary>
    /// <remarks>In a child that was forked from the process that opened it, only the child's view goes: the party is its
    /// parent's. It is closed also when a step of that fails; the first failure is thrown afterwards.</remarks>
    public void Dispose()
    {
        lock (_closing)
        {
            bool isForked = Sys.GetPid() != _process;
            if (TryBeginClosing() is not { } users)
            {
                return;
            }

            var steps = new AllSteps();
            Array.ForEach(isForked ? [] : users, u => steps.Do(u.OnClosing));
            _state = SegmentState.Closed;
            Array.ForEach(isForked ? [] : users, u => steps.Do(u.OnClosed));
            lock (_lock)                                         // parts are added, and the segment is moved, under it
            {
                GiveUpMemory(users, isForked, steps);
            }

            steps.Do(_file.Dispose);
            steps.ThrowFirst();
        }
    }

    /// <returns>Who is to be told; null when it is closed already.</returns>
    private ISegmentUser[]? TryBeginClosing()
    {
        lock (_users)
        {
            if (_state != SegmentState.Open)
            {
                return null;
            }

            _state = SegmentState.Closing;
            return [.. _users];
        }
    }

    private void GiveUpMemory(ISegmentUser[] users, bool isForked, AllSteps steps)
    {
        Segment? heir = null;
        steps.Do(() => heir = isForked ? null : TryMapHeir());
        KillPoints.Reach(KillPoint.CloseViewed);
        _state = SegmentState.Gone;
        _tombstone = Tombstone.Put((nint)_memory, LengthBytes, out int errno);
        if (_tombstone is null && heir is not null)
        {
            heir.Unmap();                                        // it may have been the last mapping that the process could have
            heir = null;
            _tombstone = Tombstone.Put((nint)_memory, LengthBytes, out errno);
        }

        KillPoints.Reach(KillPoint.CloseBuried);
        if (_tombstone is null)
        {
            steps.Do(() => Keep(users, errno));
            return;
        }

        Array.ForEach(users, u => steps.Do(u.OnGone));
        steps.Do(isForked ? _parties.Forget : () => _parties.Leave(heir?._parties));
        heir?.Unmap();
    }

    /// <summary>Where threads of this process can still reach the memory, nothing in it is given back: they may be in the middle of
    /// something. That comes with the last reference.</summary>
    private void Keep(ISegmentUser[] users, int errno)
    {
        _tombstone = Tombstone.Keep((nint)_memory, LengthBytes, () =>
        {
            var late = new AllSteps();
            Array.ForEach(users, u => late.Do(u.OnGone));
            late.ThrowFirst();
        });
        Console.Error.WriteLine($"rpal: a segment of {LengthBytes} bytes at 0x{(long)_memory:x} is closed, but the kernel does not take "
            + $"its memory away from this process's threads (mmap: {ErrnoText.Describe(errno)}): what this process holds of it stays held "
            + "until nothing here refers to the segment any more, or the process ends. ENOMEM: raise vm.max_map_count, or keep fewer "
            + "mappings. EAGAIN: raise RLIMIT_MEMLOCK.");
    }

    /// <returns>Null: the kernel refused another view, or the user has closed <see cref="File"/>.</returns>
    private Segment? TryMapHeir()
    {
        nint at = TryMapFile(SegmentAddress.Propose(LengthBytes));
        return at < 0 ? null : new Segment(this, at);
    }

    /// <summary>Maps the segment's file once more, and never another's: who has <see cref="File"/> may have closed it, and its number is
    /// somebody else's by then.</summary>
    /// <returns>Where it lies, which may be elsewhere, or -errno: EBADF it is closed.</returns>
    private nint TryMapFile(long address)
    {
        try
        {
            using var use = new HandleUse(_file);
            return SegmentAddress.Map(use.Fd, LengthBytes, address);
        }
        catch (ObjectDisposedException)
        {
            return -(int)Errno.EBADF;
        }
    }

    private void Unmap()
    {
        _state = SegmentState.Gone;
        int r = Sys.Munmap((nint)_memory, (nuint)LengthBytes);
        Debug.Assert(r == 0, "A whole mapping can always be unmapped.");
    }
}
