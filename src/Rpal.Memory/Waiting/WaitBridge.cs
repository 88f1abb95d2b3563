using Microsoft.Win32.SafeHandles;
using Rpal.Linux;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Waiting;

/// <summary>
/// The one thread of this process that sleeps for all its asynchronous waiters in a segment: on a seat like that of a set. It takes tokens for them, ends their
/// tasks, and writes their eventfds.
/// </summary>
/// <remarks>No descriptor is given to releasers: a process that dies or is hostile has nothing of ours. Why so: docs/adr/0017.</remarks>
internal sealed unsafe class WaitBridge : ISegmentUser
{
    private readonly SetSeat _seat;
    private readonly Lock _lock = new();                         // taken before the seat's
    private readonly Dictionary<long, Interest> _interests = [];
    private readonly Thread _thread;
    private volatile bool _stopping;

    private WaitBridge(SetSeat seat)
    {
        _seat = seat;
        _thread = new Thread(Run) { IsBackground = true, Name = "rpal-wait-bridge" };
    }

    /// <summary>Who waits for one semaphore.</summary>
    private sealed class Interest(SharedSemaphore semaphore)
    {
        public SharedSemaphore Semaphore { get; } = semaphore;

        public LinkedList<AsyncWait> Waiters { get; } = new();

        public List<(WaitSignal Signal, SeatBell Bell)> Signals { get; } = [];

        /// <summary>Its own eventfd, not a set's.</summary>
        public WaitSignal? Own { get; set; }
    }

    /// <summary>Takes a seat in the first part that has one free.</summary>
    /// <exception cref="SegmentException">NoSuchPart, Full.</exception>
    public static WaitBridge Start(Segment segment)
    {
        SegmentException? full = null;
        for (int i = 0; i < segment.PartCount; i++)
        {
            if (segment.TryFind(i, out Part part) && part.Kind == PartKind.SemaphoreSet)
            {
                try
                {
                    var bridge = new WaitBridge(SetSeat.Claim(segment, i, tellsCorrupt: true));
                    bridge.Begin(segment);
                    return bridge;
                }
                catch (SegmentException e) when (e.Error is SegmentError.Full or SegmentError.NoSuchPart)
                {
                    full = e;
                }
            }
        }

        throw full ?? new SegmentException(SegmentError.NoSuchPart, "Waiting asynchronously needs a seat in the segment, and it has no part of kind SemaphoreSet: have its creator call SemaphoreSet.CreateSeats with one seat for each process that waits so.");
    }

    /// <summary>Starts the thread, once it is sure to be stopped before the segment's memory goes: one that sleeps there could not be woken
    /// any more.</summary>
    /// <exception cref="ObjectDisposedException">The segment is being closed.</exception>
    private void Begin(Segment segment)
    {
        try
        {
            segment.Attach(this);
            lock (_lock)
            {
                ObjectDisposedException.ThrowIf(_stopping, segment);
                _thread.Start();
            }
        }
        catch (Exception e) when (e is OutOfMemoryException or ObjectDisposedException)
        {
            segment.Detach(this);
            _seat.Leave(static () => true);
            throw;
        }
    }

    void ISegmentUser.OnClosing() => Stop();

    public static SafeFileHandle CreateEventFd()
    {
        int fd = Sys.EventFd(1, EventFdFlags.NonBlocking | EventFdFlags.CloseOnExec);
        return fd >= 0 ? new SafeFileHandle(fd, ownsHandle: true)
            : throw new SegmentException(SegmentError.KernelRefused, $"Making an eventfd: {ErrnoText.Describe(fd)}.");
    }

    /// <summary>Makes it readable. One that is full is readable already.</summary>
    public static void Write(SafeFileHandle eventFd)
    {
        ulong one = 1;
        bool added = false;
        try
        {
            eventFd.DangerousAddRef(ref added);
            _ = Sys.Write((int)eventFd.DangerousGetHandle(), &one, sizeof(ulong));
        }
        catch (ObjectDisposedException)
        {
            return;                                              // its user is done with it
        }
        finally
        {
            if (added)
            {
                eventFd.DangerousRelease();
            }
        }
    }

    public ValueTask<WaitStatus> WaitAsync(SharedSemaphore semaphore, CancellationToken cancellationToken)
    {
        AsyncWait wait = AsyncWait.Rent(this, cancellationToken);
        ValueTask<WaitStatus> task = wait.Task;
        try
        {
            lock (_lock)
            {
                if (_stopping)
                {
                    wait.Fail(new ObjectDisposedException(nameof(Segment)));
                }
                else if (wait.IsCancelled)
                {
                    wait.Fail(new OperationCanceledException(cancellationToken));
                }
                else
                {
                    Interest interest = InterestIn(semaphore);
                    wait.Place = interest.Waiters.AddLast(wait);
                    Serve(interest);                             // there may have been a release since the caller looked
                }
            }
        }
        catch (SegmentException e)
        {
            wait.Fail(e);                                        // no room for it: the task says so, and gives the object back
        }

        return task;
    }

    /// <summary>By a cancellation token's source.</summary>
    public void Cancel(AsyncWait wait, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            wait.IsCancelled = true;
            if (wait.Place is { List: { } list } place)
            {
                list.Remove(place);
                wait.Fail(new OperationCanceledException(cancellationToken));
            }
        }
    }

    public void AddSignal(SharedSemaphore semaphore, WaitSignal signal, SeatBell bell)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_stopping, typeof(Segment));
            Interest interest = InterestIn(semaphore);
            if (!interest.Signals.Contains((signal, bell)))
            {
                interest.Signals.Add((signal, bell));
            }

            Serve(interest);
        }
    }

    public void RemoveSignal(SharedSemaphore semaphore, WaitSignal signal)
    {
        lock (_lock)
        {
            if (!_stopping && _interests.TryGetValue(semaphore.Offset, out Interest? interest) && interest.Signals.RemoveAll(s => s.Signal == signal) > 0)
            {
                LeaveIfUnused(interest);
            }
        }
    }

    /// <summary>Takes it from all semaphores; later, where somebody is stopped with the lock.</summary>
    public void RemoveSignal(WaitSignal signal)
    {
        if (!_lock.TryEnter(SegmentWaits.ClosingPatienceMs))
        {
            return;                                              // Serve drops it
        }

        try
        {
            foreach (Interest interest in _stopping ? [] : _interests.Values.ToArray())
            {
                if (interest.Signals.RemoveAll(s => s.Signal == signal) > 0)
                {
                    LeaveIfUnused(interest);
                }
            }
        }
        finally
        {
            _lock.Exit();
        }
    }

    public SafeFileHandle EventFdOf(SharedSemaphore semaphore)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_stopping, typeof(Segment));
            Interest interest = InterestIn(semaphore);
            DropIfClosed(interest);
            if (interest.Own is null)
            {
                interest.Own = new WaitSignal(this);
                interest.Signals.Add((interest.Own, default));
            }

            return interest.Own.EventFd;
        }
    }

    private Interest InterestIn(SharedSemaphore semaphore)
    {
        if (!_interests.TryGetValue(semaphore.Offset, out Interest? interest))
        {
            lock (_seat.Members)
            {
                _seat.Add(semaphore);
            }

            _interests[semaphore.Offset] = interest = new Interest(semaphore);
        }

        return interest;
    }

    /// <summary>Gives what the semaphore has to those who wait, in the order in which they came.</summary>
    private void Serve(Interest interest)
    {
        while (interest.Waiters.First is { } first)
        {
            WaitStatus status = interest.Semaphore.TryWait();
            if (status == WaitStatus.TimedOut)
            {
                break;
            }

            interest.Waiters.RemoveFirst();
            first.Value.Complete(status);
        }

        DropIfClosed(interest);
        if (interest.Signals.Count > 0 && interest.Semaphore.Count > 0)
        {
            foreach ((WaitSignal signal, SeatBell bell) in interest.Signals)
            {
                bell.Ring();
                signal.Ring();
            }
        }

        LeaveIfUnused(interest);
    }

    /// <summary>Drops what its user is done with: an eventfd, a set's signal.</summary>
    private static void DropIfClosed(Interest interest)
    {
        interest.Signals.RemoveAll(static s => s.Signal.IsDisposed);
        if (interest.Own is { IsClosed: true } closed)
        {
            interest.Signals.RemoveAll(s => s.Signal == closed);
            interest.Own = null;
        }
    }

    /// <summary>Releases should not ring where nobody waits.</summary>
    private void LeaveIfUnused(Interest interest)
    {
        if (interest.Waiters.Count == 0 && interest.Signals.Count == 0)
        {
            _interests.Remove(interest.Semaphore.Offset);
            lock (_seat.Members)
            {
                _seat.Remove(interest.Semaphore);
            }
        }
    }

    private void Run()
    {
        while (!_stopping)
        {
            ServeRung();
            _seat.Park(WaitSlice.Endless);
        }

        lock (_lock)
        {
            EndWaits();                                          // if Stop could not
        }
    }

    private void ServeRung()
    {
        lock (_lock)
        {
            lock (_seat.Members)
            {
                _seat.Collect();
            }

            while (!_stopping)
            {
                SharedSemaphore? rung;
                lock (_seat.Members)
                {
                    if (!_seat.TryNext(out int member))
                    {
                        return;
                    }

                    _seat.Silence(member);
                    rung = _seat.MemberAt(member);
                }

                if (rung is not null && _interests.TryGetValue(rung.Offset, out Interest? interest))
                {
                    Serve(interest);
                }
            }
        }
    }

    /// <summary>Ends all waits and the thread. Where a thread is stopped with the lock, this one does not wait for that longer than
    /// <see cref="SegmentWaits.ClosingPatienceMs"/>: the bridge's thread ends the waits then, once it comes to run, and its seat is left to
    /// <see cref="SleepWatch"/>.</summary>
    private void Stop()
    {
        _stopping = true;
        if (_lock.TryEnter(SegmentWaits.ClosingPatienceMs))
        {
            try
            {
                EndWaits();
            }
            finally
            {
                _lock.Exit();
            }
        }

        _seat.Leave(() => !_thread.IsAlive);
    }

    /// <summary>Under the lock, when it is stopping: nobody waits here from now on.</summary>
    private void EndWaits()
    {
        foreach (Interest interest in _interests.Values)
        {
            while (interest.Waiters.First is { } first)
            {
                interest.Waiters.RemoveFirst();
                first.Value.Fail(new ObjectDisposedException(nameof(Segment), "The segment was closed while it was waited in."));
            }

            interest.Own?.CloseEventFd();
        }

        _interests.Clear();
    }
}
