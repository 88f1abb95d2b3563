using Microsoft.Win32.SafeHandles;
using Rpal.Linux;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Waiting;

/// <summary>
/// A semaphore in shared memory: a count that processes raise and take from, sleeping while it is zero. A release that nobody waits for makes no system
/// call. No wake-up is lost, also when processes are killed: see <see cref="SleepWatch"/> for the one that dies with its process.
/// </summary>
/// <remarks>
/// <para>Any number of objects and threads may use one semaphore. The segment must stay open meanwhile.</para>
/// <para>Source: seed 002; futex(2). Which instructions must come in which order: models/semaphore.pml.</para>
/// </remarks>
public sealed unsafe class SharedSemaphore
{
    /// <summary>Highest limit that a semaphore can have.</summary>
    public const int MostTokens = int.MaxValue;

    /// <summary>Most semaphores that <see cref="WaitAny"/> waits for. Source: futex_waitv(2). A <see cref="SemaphoreSet"/> takes more, and costs less.</summary>
    public const int WaitAnyLimit = FutexWaitv.WordLimit;

    /// <summary>Sets that one semaphore can be in at the same time; each process that waits asynchronously counts as one.</summary>
    public const int SetsLimit = SemaphoreBlock.LinkCapacity;

    /// <summary>Bytes that one takes in shared memory.</summary>
    internal const int SizeBytes = SemaphoreBlock.SizeBytes;

    /// <summary>After so many wake-ups that nobody heard it is asked whether those who announced themselves still live.</summary>
    private const int UnheardLimit = 256;

    private readonly Announcement _announcement;
    private readonly AdaptiveWait _adaptive = new();
    private int _unheard;

    private SharedSemaphore(Segment segment, long offset, uint limit)
    {
        (Segment, Offset, Limit) = (segment, offset, limit);
        Block = (SemaphoreBlock*)(segment.Address + offset);
        Waits = SegmentWaits.Of(segment);
        _announcement = Waits.AnnouncementAt(offset);
    }

    /// <summary>Where it lies.</summary>
    public Segment Segment { get; }

    /// <summary>Its place in the segment: the same in every process.</summary>
    public long Offset { get; }

    /// <summary>Most tokens that it may have.</summary>
    public uint Limit { get; }

    /// <summary>How many could be taken a moment ago.</summary>
    public uint Count
    {
        get
        {
            Segment.ThrowIfClosed();
            uint count = Volatile.Read(ref Block->Count);
            GC.KeepAlive(Segment);                               // its memory goes with the last reference to it
            return count;
        }
    }

    /// <summary>How often this process met, in this segment, what no correct process writes.</summary>
    public long CorruptCount => Waits.Corrupt;

    /// <summary>
    /// An eventfd(2) of this process that becomes readable when the semaphore may have tokens, for epoll and the like. Read it, then
    /// <see cref="TryWait"/> until nothing is left. Another thread of this process writes it: see <see cref="WaitAsync"/>.
    /// </summary>
    /// <exception cref="SegmentException">As <see cref="WaitAsync"/>.</exception>
    public SafeFileHandle EventFd => Waits.Bridge().EventFdOf(this);

    internal SemaphoreBlock* Block { get; }

    internal SegmentWaits Waits { get; }

    /// <summary>Makes one as a part of a segment.</summary>
    /// <inheritdoc cref="CreateMany"/>
    public static SharedSemaphore Create(Segment segment, int initial = 0, int limit = MostTokens) => CreateMany(segment, 1, initial, limit)[0];

    /// <summary>Makes several as one part of a segment.</summary>
    /// <param name="segment">Where.</param>
    /// <param name="count">How many.</param>
    /// <param name="initial">Tokens that each has at first, 0 to <paramref name="limit"/>.</param>
    /// <param name="limit">Most tokens that each may have, 1 to <see cref="MostTokens"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    /// <exception cref="SegmentException">Full.</exception>
    public static SharedSemaphore[] CreateMany(Segment segment, int count, int initial = 0, int limit = MostTokens)
    {
        ArgumentNullException.ThrowIfNull(segment);
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        Part part = segment.Add(PartKind.Semaphore, (long)count * SizeBytes, prepare: p =>
        {
            for (int i = 0; i < count; i++)
            {
                Initialize(p.Address + (long)i * SizeBytes, initial, limit);
            }
        });
        return [.. Enumerable.Range(0, count).Select(i => At(segment, part.Offset + (long)i * SizeBytes))];
    }

    /// <summary>One of the semaphores of a part.</summary>
    /// <param name="segment">Where.</param>
    /// <param name="part">The part's number.</param>
    /// <param name="index">Which of its semaphores.</param>
    /// <exception cref="SegmentException">NoSuchPart: it is of another kind, has no such semaphore, or the semaphore was never made.</exception>
    public static SharedSemaphore Open(Segment segment, int part, int index = 0)
    {
        ArgumentNullException.ThrowIfNull(segment);
        Part found = segment.Find(part, PartKind.Semaphore);
        return index >= 0 && index < found.LengthBytes / SizeBytes ? At(segment, found.Offset + (long)index * SizeBytes)
            : throw new SegmentException(SegmentError.NoSuchPart, $"Part {part} has {found.LengthBytes / SizeBytes} semaphores; number {index} was asked for.");
    }

    /// <summary>Fills in a semaphore inside another kind of part, before others can find it.</summary>
    internal static void Initialize(byte* address, int initial, int limit)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limit, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(initial);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(initial, limit);
        *(SemaphoreBlock*)address = new SemaphoreBlock { Count = (uint)initial, Limit = (uint)limit };
    }

    /// <summary>The semaphore at a place inside another kind of part, whose recovery calls <see cref="SemaphoreRecovery.Recover(Segment, long, int)"/> for it.</summary>
    internal static SharedSemaphore At(Segment segment, long offset)
    {
        if (offset < Segment.HeaderBytes || offset % sizeof(ulong) != 0 || offset > segment.LengthBytes - SizeBytes)
        {
            throw new SegmentException(SegmentError.NoSuchPart, $"There is no room for a semaphore at {offset} of a segment of {segment.LengthBytes} bytes.");
        }

        uint limit = Volatile.Read(ref ((SemaphoreBlock*)(segment.Address + offset))->Limit);
        segment.ThrowIfClosed();                                 // what was read may be the tombstone's zeroes
        return limit is >= 1 and <= MostTokens ? new SharedSemaphore(segment, offset, limit)
            : throw new SegmentException(SegmentError.NoSuchPart, $"At {offset} of the segment is no semaphore: its limit would be {limit}.");
    }

    /// <summary>Adds tokens, and wakes as many sleepers.</summary>
    /// <param name="count">How many, 1 or more.</param>
    /// <exception cref="ObjectDisposedException">The segment is closed, perhaps meanwhile: then the tokens were added or not.</exception>
    public ReleaseStatus Release(int count = 1)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        Segment.ThrowIfClosed();
        ReleaseStatus status = SemaphoreWord.Add(Block, Limit, (uint)count, out uint waiting);
        if (status != ReleaseStatus.Released)
        {
            Note(status == ReleaseStatus.Corrupt);
            return status;
        }

        KillPoints.Reach(KillPoint.ReleaseCounted);
        if (waiting != 0)
        {
            WakeSleepers(count, waiting);
        }

        KillPoints.Reach(KillPoint.ReleaseWoken);
        uint links = Volatile.Read(ref Block->LinkMask);
        if (links != 0)
        {
            SemaphoreLinks.Ring(this, links);
        }

        Segment.ThrowIfClosed();                                 // then it may have gone nowhere
        return ReleaseStatus.Released;
    }

    /// <summary>Takes a token if there is one.</summary>
    /// <returns>Acquired; TimedOut: there is none; Corrupt.</returns>
    /// <exception cref="ObjectDisposedException">The segment is closed; waits that it finds asleep end with this too.</exception>
    public WaitStatus TryWait()
    {
        Segment.ThrowIfClosed();                                 // each time: this is where sleepers find it
        WaitStatus status = SemaphoreWord.TryTake(Block, Limit);
        Note(status == WaitStatus.Corrupt);
        return status;
    }

    /// <summary>Takes a token, waiting for one.</summary>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="OperationCanceledException">Nothing was taken.</exception>
    public WaitStatus Wait(CancellationToken cancellationToken) => Wait(Timeout.InfiniteTimeSpan, cancellationToken);

    /// <inheritdoc cref="Wait(CancellationToken)"/>
    /// <param name="timeout">Longest time; <see cref="Timeout.InfiniteTimeSpan"/> for none.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public WaitStatus Wait(TimeSpan timeout, CancellationToken cancellationToken = default)
    {
        WaitSlice.Demand(timeout);
        cancellationToken.ThrowIfCancellationRequested();
        WaitStatus status = TryWait();
        return status != WaitStatus.TimedOut || timeout == TimeSpan.Zero ? status : WaitLong(WaitSlice.Until(timeout), maySpin: true, cancellationToken);
    }

    /// <summary>As <see cref="Wait(TimeSpan, CancellationToken)"/>, but goes to sleep at once: for measurements of waking.</summary>
    internal WaitStatus WaitAsleep(TimeSpan timeout)
    {
        WaitStatus status = TryWait();
        return status != WaitStatus.TimedOut ? status : WaitLong(WaitSlice.Until(timeout), maySpin: false, CancellationToken.None);
    }

    /// <summary>Takes a token, waiting for one without a thread: one thread of this process waits for all.</summary>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>Acquired or Corrupt.</returns>
    /// <exception cref="OperationCanceledException">Nothing was taken.</exception>
    /// <exception cref="SegmentException">NoSuchPart: the segment has no part of kind SemaphoreSet; Full: all its seats are taken, or the semaphore is in as many sets as it can be.</exception>
    public ValueTask<WaitStatus> WaitAsync(CancellationToken cancellationToken = default)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<WaitStatus>(cancellationToken);
        }

        WaitStatus status = TryWait();
        return status != WaitStatus.TimedOut ? ValueTask.FromResult(status) : Waits.Bridge().WaitAsync(this, cancellationToken);
    }

    /// <summary>Takes a token from any of a few semaphores, which may lie in different segments. Which is looked at first changes.</summary>
    /// <param name="semaphores">1 to <see cref="WaitAnyLimit"/>.</param>
    /// <param name="timeout">Longest time; <see cref="Timeout.InfiniteTimeSpan"/> for none.</param>
    /// <param name="index">Which it was (Acquired, Corrupt), or -1.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="OperationCanceledException">Nothing was taken.</exception>
    public static WaitStatus WaitAny(ReadOnlySpan<SharedSemaphore> semaphores, TimeSpan timeout, out int index, CancellationToken cancellationToken = default) =>
        SemaphoreWaitAny.Run(semaphores, timeout, out index, cancellationToken);

    internal void Announce()
    {
        Waits.Watch();
        _announcement.Enter();
    }

    internal void Withdraw() => _announcement.Leave();

    /// <summary>Wakes one other sleeper, if a token is there: whoever was woken and does not take it passes it on.</summary>
    internal void PassOn()
    {
        ulong state = Volatile.Read(ref Block->State);
        if ((uint)state != 0 && state >> SemaphoreBlock.CountBits != 0)
        {
            _ = Sys.FutexWakeShared(&Block->Count, 1);
        }
    }

    private WaitStatus WaitLong(long until, bool maySpin, CancellationToken cancellationToken)
    {
        long began = maySpin ? WaitSlice.Now : 0, budget = maySpin ? _adaptive.BudgetNs(began) : 0;
        if (budget > 0)
        {
            for (long spinUntil = Math.Min(until, began + budget); WaitSlice.Now < spinUntil;)
            {
                AdaptiveWait.Pause();
                if (Volatile.Read(ref Block->Count) != 0 && TryWait() is not WaitStatus.TimedOut and var spun)
                {
                    _adaptive.RecordSince(began, slept: false);
                    return spun;
                }
            }
        }

        Announce();
        try
        {
            WaitStatus status = Sleep(until, cancellationToken);
            KillPoints.Reach(KillPoint.WaitTaken);
            if (maySpin)
            {
                _adaptive.RecordSince(began, slept: true);
            }

            return status;
        }
        finally
        {
            Withdraw();
        }
    }

    private WaitStatus Sleep(long until, CancellationToken cancellationToken)
    {
        while (true)
        {
            WaitStatus status = TryWait();                       // also after the time is over: a wake-up may just have come for this thread
            if (status != WaitStatus.TimedOut)
            {
                return status;
            }

            cancellationToken.ThrowIfCancellationRequested();
            long sliceNs = WaitSlice.Of(until, cancellationToken);
            if (sliceNs == 0)
            {
                return WaitStatus.TimedOut;
            }

            KillPoints.Reach(KillPoint.WaitAnnounced);
            int r = Sys.FutexWaitShared(&Block->Count, 0, sliceNs);
            KillPoints.Reach(KillPoint.WaitWoken);
            WaitSlice.Check(r);
        }
    }

    private void WakeSleepers(int count, uint waiting)
    {
        if (Sys.FutexWakeShared(&Block->Count, count) > 0)
        {
            _unheard = 0;
        }
        else if (++_unheard >= UnheardLimit)
        {
            _unheard = 0;
            Waits.SweepIfDead(waiting);
        }
    }

    private void Note(bool corrupt)
    {
        if (corrupt)
        {
            Waits.CountCorrupt();
        }
    }
}
