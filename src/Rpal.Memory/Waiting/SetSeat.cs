using System.Numerics;
using Rpal.Linux;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Waiting;

/// <summary>One waiter's seat: its doorbell in shared memory, and which semaphores ring it, in its own.</summary>
/// <remarks>One thread waits; members come and go under <see cref="Members"/> from any.</remarks>
internal sealed unsafe class SetSeat
{
    private readonly Segment _segment;
    private readonly SegmentWaits _waits;
    private readonly SetGeometry _set;
    private readonly int _number;
    private readonly SeatBlock* _seat;
    private readonly ulong* _bells;
    private readonly Entry[] _members;
    private readonly Dictionary<long, int> _byOffset = [];
    private readonly ulong[] _pending;                           // bells that were taken away and not yet looked at
    private int _next;
    private int _highest;
    private Func<bool> _isUnused = static () => false;
    private volatile SeatState _state;

    private SetSeat(Segment segment, SetGeometry set, int number)
    {
        (_segment, _set, _number) = (segment, set, number);
        _waits = SegmentWaits.Of(segment);
        _seat = set.SeatAt(number);
        _bells = (ulong*)((byte*)_seat + SeatBlock.BellsOffset);
        _members = new Entry[set.MemberCapacity];
        _pending = new ulong[set.MemberCapacity / 64];
    }

    private record struct Entry(SharedSemaphore? Semaphore, int Link);

    /// <summary>Members that <see cref="RingForgotten"/> looks at before it lets the waiter go on.</summary>
    private const int LookStep = 256;

    /// <summary>Longest that <see cref="SleepWatch"/> waits for the members: whoever has them may be stopped.</summary>
    private const int LookPatienceMs = 20;

    /// <summary>Held while members change, and while bells are turned into members.</summary>
    public Lock Members { get; } = new();

    public int Count => _byOffset.Count;

    /// <summary>Whether whoever sits here is told of a count that makes no sense again and again, not only at a ring: asynchronous waiters come and go.</summary>
    public bool TellsCorrupt { get; init; }

    /// <summary>Takes a free seat. Seats of the dead are cleared away first, if there is no other.</summary>
    /// <exception cref="SegmentException">NoSuchPart, Full.</exception>
    public static SetSeat Claim(Segment segment, int part, bool tellsCorrupt = false)
    {
        Part found = segment.Find(part, PartKind.SemaphoreSet);
        SetGeometry? geometry = SegmentWaits.Of(segment).GeometryOf(found.Index);
        segment.ThrowIfClosed();                                 // what was read may be the tombstone's zeroes
        SetGeometry set = geometry
            ?? throw new SegmentException(SegmentError.NoSuchPart, $"Part {part} is a set whose seats do not fit into its {found.LengthBytes} bytes.");
        SegmentWaits.Of(segment).Watch();
        uint self = (uint)segment.Self.Number + 1;
        for (int attempt = 0; attempt < 2; attempt++)
        {
            uint owners = 0;
            for (int i = 0; i < set.SeatCount; i++)
            {
                SeatBlock* seat = set.SeatAt(i);
                uint owner = Interlocked.CompareExchange(ref seat->Owner, self, 0);
                if (owner == 0)
                {
                    KillPoints.Reach(KillPoint.SeatClaimed);
                    Clear(seat, set.MemberCapacity);
                    var claimed = new SetSeat(segment, set, i) { TellsCorrupt = tellsCorrupt };
                    claimed._waits.Watch(claimed);
                    return claimed;
                }

                owners |= owner is >= 1 and <= 32 ? 1u << (int)owner - 1 : 0;
            }

            if (!SegmentWaits.Of(segment).SweepIfDead(owners))
            {
                break;
            }
        }

        throw new SegmentException(SegmentError.Full, $"All {set.SeatCount} seats of the set in part {part} are taken by processes that live: create it with more, or dispose of one.");
    }

    /// <summary>No bells, not parked.</summary>
    public static void Clear(SeatBlock* seat, int memberCapacity)
    {
        new Span<ulong>((byte*)seat + SeatBlock.BellsOffset, memberCapacity / 64).Clear();
        Volatile.Write(ref seat->Summary, 0);
        Volatile.Write(ref seat->Parked, 0);
    }

    /// <summary>Lets a semaphore ring here. Under <see cref="Members"/>.</summary>
    /// <returns>Its number here; whether it was new.</returns>
    /// <exception cref="SegmentException">Full: no member or no link is free.</exception>
    public int Add(SharedSemaphore semaphore)
    {
        if (!ReferenceEquals(semaphore.Segment, _segment))
        {
            throw new ArgumentException("A set and its semaphores lie in one segment: whoever releases must reach both. Use SharedSemaphore.WaitAny across segments.", nameof(semaphore));
        }

        if (_byOffset.TryGetValue(semaphore.Offset, out int known))
        {
            return known;
        }

        int member = FreeMember();
        var link = new SemaphoreLink(_segment.Self.Number, _set.Part, _number, member);
        int number = SemaphoreLinks.Add(semaphore.Block, link);
        if (number < 0 && _waits.SweepIfDead(SemaphoreLinks.Parties(semaphore.Block)))
        {
            number = SemaphoreLinks.Add(semaphore.Block, link);
        }

        if (number < 0)
        {
            throw new SegmentException(SegmentError.Full, $"The semaphore at {semaphore.Offset} is in {SharedSemaphore.SetsLimit} sets, the most there can be: remove it from one.");
        }

        _members[member] = new Entry(semaphore, number);
        _byOffset[semaphore.Offset] = member;
        _highest = Math.Max(_highest, member);
        SleepWatch.Rouse();
        Ring(member);                                            // it may have been released before the link was there
        return member;
    }

    /// <summary>No more rings from a semaphore. Under <see cref="Members"/>.</summary>
    /// <returns>Whether it was a member.</returns>
    public bool Remove(SharedSemaphore semaphore)
    {
        if (!_byOffset.Remove(semaphore.Offset, out int member))
        {
            return false;
        }

        SemaphoreLinks.Remove(semaphore.Block, _members[member].Link, new SemaphoreLink(_segment.Self.Number, _set.Part, _number, member));
        _members[member] = default;
        return true;
    }

    public SharedSemaphore? MemberAt(int member) => _members[member].Semaphore;

    /// <summary>All members.</summary>
    public SharedSemaphore[] All() => [.. _byOffset.Values.Select(m => _members[m].Semaphore!)];

    /// <summary>The next member that had rung when <see cref="Collect"/> was called, in turns; its bell stays, until <see cref="Silence"/>. Under <see cref="Members"/>.</summary>
    public bool TryNext(out int member)
    {
        for (int w = _next >> 6, words = 0; words <= _pending.Length; words++, w = w + 1 == _pending.Length ? 0 : w + 1)
        {
            ulong bells = _pending[w];
            if (words == 0)
            {
                bells &= ulong.MaxValue << (_next & 63);         // those before come last
            }

            if (bells != 0)
            {
                member = (w << 6) + BitOperations.TrailingZeroCount(bells);
                _next = member + 1 == _members.Length ? 0 : member + 1;
                return true;
            }
        }

        member = -1;
        return false;
    }

    /// <summary>It has been looked at and has nothing: it will ring when it has.</summary>
    public void Silence(int member) => _pending[member >> 6] &= ~(1ul << (member & 63));

    /// <summary>Whether anything has rung since the bells were taken away.</summary>
    public bool HasRung => Volatile.Read(ref _seat->Summary) != 0;

    /// <summary>Whether anything was taken away and not looked at.</summary>
    public bool HasPending => _pending.AsSpan().ContainsAnyExcept(0ul);

    /// <summary>Sleeps until something rings, or for a while. SYNC pending: another thread that leaves something pending wakes this one.</summary>
    public void Park(long sliceNs)
    {
        _ = Interlocked.Exchange(ref _seat->Parked, 1);          // SYNC doorbell: pairs with Doorbell.Ring
        KillPoints.Reach(KillPoint.SetParked);
        int r = HasRung || HasPending ? 0 : Sys.FutexWaitShared(&_seat->Parked, 1, sliceNs);
        KillPoints.Reach(KillPoint.SetWoken);
        Volatile.Write(ref _seat->Parked, 0);
        GC.KeepAlive(_segment);
        WaitSlice.Check(r);
    }

    /// <summary>Ends a sleep, also one whose ringer has undertaken to end it and died: then the seat does not look parked any more.</summary>
    public void Wake()
    {
        _ = Interlocked.Exchange(ref _seat->Parked, 0);          // SYNC pending: pairs with Park
        _ = Sys.FutexWakeShared(&_seat->Parked, int.MaxValue);
    }

    /// <summary>Rings for a member, from this process.</summary>
    public void Ring(int member)
    {
        Doorbell.Ring(_seat, member);
        GC.KeepAlive(_segment);                                  // its memory goes with the last reference to it
    }

    /// <summary>By <see cref="SleepWatch"/>: rings for members that have tokens, and whose releasers may have died before they rang.</summary>
    /// <returns>Whether it has members, or may have.</returns>
    public bool RingForgotten()
    {
        for (int from = 0; ; from += LookStep)
        {
            if (!Members.TryEnter(LookPatienceMs))
            {
                return true;
            }

            try
            {
                if (_state != SeatState.Taken || from > _highest)
                {
                    return _state == SeatState.Taken && Count > 0;
                }

                RingAll(from, Math.Min(_highest, from + LookStep - 1));
            }
            finally
            {
                Members.Exit();
            }
        }
    }

    /// <summary>Of these members, for those that have tokens.</summary>
    private void RingAll(int first, int last)
    {
        bool forgotten = false;
        for (int i = first; i <= last; i++)
        {
            if (_members[i].Semaphore is { Count: > 0 and var count } s && (TellsCorrupt || count <= s.Limit)
                && (_pending[i >> 6] >> (i & 63) & 1) == 0)
            {
                Ring(i);
                forgotten = true;
            }
        }

        if (forgotten)
        {
            Wake();
        }
    }

    /// <summary>
    /// Gives the seat back when nobody uses it any more: before this returns, or, where a thread is stopped in the middle of a wait for
    /// longer than <see cref="SegmentWaits.ClosingPatienceMs"/>, once that thread has left. <see cref="SleepWatch"/> wakes it until then.
    /// </summary>
    /// <param name="isUnused">Whether nobody waits here; asked again and again. Nobody begins to once it has said so.</param>
    public void Leave(Func<bool> isUnused)
    {
        _isUnused = isUnused;
        _state = SeatState.Leaving;
        for (long until = Environment.TickCount64 + SegmentWaits.ClosingPatienceMs; !TryRelease(); Thread.Sleep(1))
        {
            // A thread that had looked before, and parks now, is woken next time.
            if (Environment.TickCount64 >= until)
            {
                SleepWatch.Rouse();                              // after the locked instruction of Wake
                return;
            }
        }

        _waits.Unwatch(this);
    }

    /// <summary>Whether it is left, and not yet given back: its waiter is in the way. Gives it back if that waiter has gone.</summary>
    public bool IsInTheWay() => _state == SeatState.Leaving && !TryRelease();

    /// <summary>Whether it is somebody else's.</summary>
    public bool IsReleased => _state == SeatState.Released;

    /// <returns>Whether it has been given back; else whoever sleeps here was woken.</returns>
    private bool TryRelease()
    {
        if (!_isUnused() || !Members.TryEnter())
        {
            Wake();
            return false;
        }

        try
        {
            if (_state != SeatState.Released)
            {
                Array.ForEach(All(), s => Remove(s));
                Clear(_seat, _set.MemberCapacity);
                _state = SeatState.Released;
                Volatile.Write(ref _seat->Owner, 0);
            }
        }
        finally
        {
            Members.Exit();
        }

        GC.KeepAlive(_segment);
        return true;
    }

    /// <summary>Takes the bells away that have rung. Under <see cref="Members"/>.</summary>
    public void Collect()
    {
        if (Volatile.Read(ref _seat->Summary) == 0)
        {
            return;
        }

        ulong summary = Interlocked.Exchange(ref _seat->Summary, 0);
        for (; summary != 0; summary &= summary - 1)
        {
            int w = BitOperations.TrailingZeroCount(summary);
            if (w < _pending.Length)
            {
                _pending[w] |= Interlocked.Exchange(ref _bells[w], 0);
            }
        }

        KillPoints.Reach(KillPoint.SetBellsTaken);
    }

    private int FreeMember()
    {
        if (_byOffset.Count < _members.Length)
        {
            for (int i = 0; i < _members.Length; i++)
            {
                if (_members[i].Semaphore is null)
                {
                    return i;
                }
            }
        }

        throw new SegmentException(SegmentError.Full, $"The set has {_members.Length} members, the most it was made for: create it for more.");
    }
}
