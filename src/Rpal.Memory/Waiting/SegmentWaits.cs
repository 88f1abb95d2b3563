using System.Collections.Concurrent;
using System.Numerics;
using System.Runtime.CompilerServices;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Waiting;

/// <summary>What this process keeps for itself about waiting in one segment.</summary>
internal sealed unsafe class SegmentWaits : ISegmentUser
{
    private static readonly ConditionalWeakTable<Segment, SegmentWaits> s_all = [];

    /// <summary>How long closing a segment, or disposing of a set, waits for threads that sleep in it: they are woken every millisecond,
    /// and only one that does not come to run takes longer. <see cref="SleepWatch"/> wakes that one.</summary>
    public const int ClosingPatienceMs = 2000;

    private readonly Segment _segment;
    private readonly ConcurrentDictionary<long, Announcement> _announcements = new();
    private readonly SetGeometry?[] _sets = new SetGeometry?[SegmentHeader.PartCapacity];
    private readonly Lock _lock = new();
    private readonly List<SetSeat> _seats = [];                  // under SleepWatch's lock
    private WaitBridge? _bridge;
    private bool _watched;
    private long _corrupt;

    private SegmentWaits(Segment segment) => _segment = segment;

    public static SegmentWaits Of(Segment segment) => s_all.GetValue(segment, static s => new SegmentWaits(s));

    /// <summary>How often this process met what no correct process writes.</summary>
    public long Corrupt => Volatile.Read(ref _corrupt);

    public void CountCorrupt() => Interlocked.Increment(ref _corrupt);

    /// <summary>One per semaphore, however many objects there are for it.</summary>
    public Announcement AnnouncementAt(long offset) =>
        _announcements.GetOrAdd(offset, static (o, s) => new Announcement((SemaphoreBlock*)(s.Address + o), s), _segment);

    /// <summary>Before anybody sleeps here.</summary>
    public void Watch()
    {
        if (Volatile.Read(ref _watched))
        {
            return;
        }

        lock (_lock)
        {
            if (!_watched)
            {
                SleepWatch.Add(this);
                try
                {
                    _segment.Attach(this);
                }
                catch (ObjectDisposedException)
                {
                    SleepWatch.Remove(this);
                    throw;
                }

                Volatile.Write(ref _watched, true);
            }
        }
    }

    void ISegmentUser.OnClosing() => SleepWatch.Remove(this);

    void ISegmentUser.OnClosed()
    {
        bool asleep = WakeSleepers();
        for (long until = Environment.TickCount64 + ClosingPatienceMs; asleep && Environment.TickCount64 < until; asleep = WakeSleepers())
        {
            Thread.Sleep(1);                                     // one that had looked before, and falls asleep now, is woken next time
        }

        if (asleep)
        {
            SleepWatch.Add(this);
        }
    }

    /// <returns>Whether any thread of this process sleeps at a semaphore or a seat, or is about to.</returns>
    private bool WakeSleepers()
    {
        bool asleep = false;
        foreach (KeyValuePair<long, Announcement> one in _announcements)
        {
            asleep |= one.Value.WakeAll();
        }

        using (SleepWatch.Hold())
        {
            foreach (SetSeat seat in _seats)
            {
                asleep |= seat.IsInTheWay();
            }
        }

        return asleep;
    }

    /// <summary>A seat of this process, from now on looked after.</summary>
    public void Watch(SetSeat seat)
    {
        Watch();
        using (SleepWatch.Hold())
        {
            _seats.Add(seat);
        }
    }

    /// <summary>No more.</summary>
    public void Unwatch(SetSeat seat)
    {
        using (SleepWatch.Hold())
        {
            _seats.Remove(seat);
        }
    }

    /// <summary>Whether nobody is to be looked after here any more.</summary>
    public bool IsOver => _segment.IsClosed && !WakeSleepers();

    /// <summary>By <see cref="SleepWatch"/>, under its lock.</summary>
    /// <returns>Whether anybody sleeps here, or may soon.</returns>
    public bool LookForForgotten()
    {
        if (_segment.IsClosed)
        {
            return WakeSleepers();                               // they find it closed, and leave
        }

        bool asleep = false;
        foreach (KeyValuePair<long, Announcement> one in _announcements)
        {
            asleep |= one.Value.Look();
        }

        foreach (SetSeat seat in _seats)
        {
            asleep |= seat.IsInTheWay() || seat.RingForgotten();
        }

        _seats.RemoveAll(static s => s.IsReleased);
        return asleep;
    }

    /// <summary>The doorbell that a link means; null when it means none.</summary>
    public SeatBlock* SeatOf(SemaphoreLink link, out int memberCapacity)
    {
        memberCapacity = 0;
        if ((uint)link.Part >= (uint)_sets.Length || GeometryOf(link.Part) is not { } set || link.Seat >= set.SeatCount || link.Member >= set.MemberCapacity)
        {
            return null;
        }

        memberCapacity = set.MemberCapacity;
        return set.SeatAt(link.Seat);
    }

    /// <summary>Seats of a set, checked against its part's place once and for all: nobody moves parts.</summary>
    public SetGeometry? GeometryOf(int part)
    {
        if (_sets[part] is { } known)
        {
            return known;
        }

        return _segment.TryFind(part, out Part found) && found.Kind == PartKind.SemaphoreSet && SetGeometry.Read(found) is { } read ? _sets[part] = read : null;
    }

    /// <summary>Clears dead processes away if one of these parties is one.</summary>
    /// <returns>Whether there was anything to clear away.</returns>
    public bool SweepIfDead(uint parties)
    {
        for (; parties != 0; parties &= parties - 1)
        {
            if (!_segment.Parties.IsAlive(BitOperations.TrailingZeroCount(parties)))
            {
                try
                {
                    return _segment.Sweep() > 0;
                }
                catch (SegmentException e) when (e.Error == SegmentError.RecoveryBusy)
                {
                    return false;                                // another one is at it
                }
            }
        }

        return false;
    }

    /// <summary>The thread that waits for all asynchronous waiters of this process in this segment; started when it is first needed.</summary>
    public WaitBridge Bridge()
    {
        lock (_lock)
        {
            return _bridge ??= WaitBridge.Start(_segment);
        }
    }
}

/// <summary>Where the seats of a set are in this process.</summary>
internal sealed unsafe class SetGeometry
{
    private readonly byte* _seats;

    private SetGeometry(int part, byte* seats, int seatCount, int memberCapacity)
    {
        Part = part;
        _seats = seats;
        (SeatCount, MemberCapacity) = (seatCount, memberCapacity);
    }

    public int Part { get; }

    public int SeatCount { get; }

    public int MemberCapacity { get; }

    /// <summary>Null when the part's first words do not fit its length.</summary>
    public static SetGeometry? Read(Part part)
    {
        if (part.LengthBytes < SemaphoreSetBlock.SizeBytes)
        {
            return null;
        }

        SemaphoreSetBlock set = *(SemaphoreSetBlock*)part.Address;
        return set.SeatCount is >= 1 and <= SemaphoreSet.SeatLimit && set.MemberCapacity is >= 64 and <= SemaphoreSet.MemberLimit && set.MemberCapacity % 64 == 0
            && part.LengthBytes - SemaphoreSetBlock.SizeBytes >= (long)set.SeatCount * SeatBlock.BytesFor((int)set.MemberCapacity)
                ? new SetGeometry(part.Index, part.Address + SemaphoreSetBlock.SizeBytes, (int)set.SeatCount, (int)set.MemberCapacity)
                : null;
    }

    public SeatBlock* SeatAt(int seat) => (SeatBlock*)(_seats + (long)seat * SeatBlock.BytesFor(MemberCapacity));
}
