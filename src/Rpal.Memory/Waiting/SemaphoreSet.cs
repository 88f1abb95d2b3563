using Microsoft.Win32.SafeHandles;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Waiting;

/// <summary>
/// Semaphores of one segment, of which one thread waits for any. Each release of a member rings a bell in shared memory and wakes the waiter if it sleeps: neither
/// side's cost grows with the number of members.
/// </summary>
/// <remarks>
/// <para>Adding, removing and disposing can be done by any thread, waiting by one at a time. A waiter takes a seat of a part that the segment's creator has made.</para>
/// <para>Source: seed 002 (create_semaphore_set, add_semaphores, remove_semaphores, wait_set_any); models/semaphore.pml.</para>
/// </remarks>
public sealed class SemaphoreSet : IDisposable, ISegmentUser
{
    /// <summary>Most waiters that one part can have seats for.</summary>
    public const int SeatLimit = 32;

    /// <summary>Most semaphores in one set.</summary>
    public const int MemberLimit = 4096;

    private readonly Segment _segment;
    private readonly SetSeat _seat;
    private readonly SegmentWaits _waits;
    private readonly AdaptiveWait _adaptive = new();
    private WaitSignal? _signal;
    private int _waiting;
    private volatile bool _disposed;

    private SemaphoreSet(Segment segment, SetSeat seat)
    {
        (_segment, _waits, _seat) = (segment, SegmentWaits.Of(segment), seat);
        try
        {
            segment.Attach(this);
        }
        catch (ObjectDisposedException)
        {
            seat.Leave(static () => true);
            throw;
        }
    }

    void ISegmentUser.OnClosing() => Dispose();

    /// <summary>How many semaphores are in it.</summary>
    public int Count
    {
        get
        {
            lock (_seat.Members)
            {
                return _seat.Count;
            }
        }
    }

    /// <summary>Makes a part with seats for waiters. One is needed for each set, and for each process that uses <see cref="SharedSemaphore.WaitAsync"/>.</summary>
    /// <param name="segment">Where.</param>
    /// <param name="seats">1 to <see cref="SeatLimit"/>.</param>
    /// <param name="members">Most semaphores in each set, 1 to <see cref="MemberLimit"/>; rounded up to a multiple of 64.</param>
    /// <returns>The part's number, for <see cref="Join"/> in any process.</returns>
    /// <exception cref="SegmentException">Full.</exception>
    public static unsafe int CreateSeats(Segment segment, int seats, int members)
    {
        ArgumentNullException.ThrowIfNull(segment);
        ArgumentOutOfRangeException.ThrowIfLessThan(seats, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(seats, SeatLimit);
        ArgumentOutOfRangeException.ThrowIfLessThan(members, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(members, MemberLimit);
        int capacity = (members + 63) / 64 * 64;
        return segment.Add(PartKind.SemaphoreSet, SemaphoreSetBlock.SizeBytes + (long)seats * SeatBlock.BytesFor(capacity), prepare: p =>
            *(SemaphoreSetBlock*)p.Address = new SemaphoreSetBlock { SeatCount = (uint)seats, MemberCapacity = (uint)capacity }).Index;
    }

    /// <summary>Takes a free seat for a new, empty set.</summary>
    /// <param name="segment">Where.</param>
    /// <param name="part">What <see cref="CreateSeats"/> returned.</param>
    /// <exception cref="SegmentException">NoSuchPart; Full: all seats are taken by processes that live.</exception>
    public static SemaphoreSet Join(Segment segment, int part)
    {
        ArgumentNullException.ThrowIfNull(segment);
        return new SemaphoreSet(segment, SetSeat.Claim(segment, part));
    }

    /// <summary>An eventfd(2) that becomes readable when a member may have tokens. Read it, then <see cref="TryWaitAny"/> until nothing is left.</summary>
    /// <remarks>Costs each member a second place among <see cref="SharedSemaphore.SetsLimit"/>: this process's.</remarks>
    /// <exception cref="SegmentException">As <see cref="SharedSemaphore.WaitAsync"/>.</exception>
    public SafeFileHandle EventFd => Signal().EventFd;

    /// <summary>Adds a semaphore; one that is in already stays so.</summary>
    /// <exception cref="ArgumentException">It lies in another segment.</exception>
    /// <exception cref="SegmentException">Full: the set has as many members as it was made for, or the semaphore is in <see cref="SharedSemaphore.SetsLimit"/> sets.</exception>
    public void Add(SharedSemaphore semaphore)
    {
        ArgumentNullException.ThrowIfNull(semaphore);
        lock (_seat.Members)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            int before = _seat.Count, member = _seat.Add(semaphore);
            try
            {
                _signal?.Add(semaphore, new SeatBell(_seat, member));
            }
            catch (SegmentException) when (_seat.Count > before)
            {
                _seat.Remove(semaphore);
                throw;
            }
        }
    }

    /// <summary>Takes a semaphore out. Once it returns, no wait of this set takes from it.</summary>
    /// <returns>Whether it was in.</returns>
    public bool Remove(SharedSemaphore semaphore)
    {
        ArgumentNullException.ThrowIfNull(semaphore);
        lock (_seat.Members)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            _signal?.Remove(semaphore);
            return _seat.Remove(semaphore);
        }
    }

    /// <summary>Takes a token from any member that has one, in turns.</summary>
    /// <param name="semaphore">Which member it was (Acquired, Corrupt), or null.</param>
    /// <returns>Acquired; TimedOut: none has any; Corrupt: that member's count makes no sense, it is passed over until it is released again.</returns>
    public WaitStatus TryWaitAny(out SharedSemaphore? semaphore)
    {
        lock (_seat.Members)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            _seat.Collect();                                     // once: a peer that rings without end holds nobody
            while (_seat.TryNext(out int member))
            {
                semaphore = _seat.MemberAt(member);
                WaitStatus status = semaphore?.TryWait() ?? WaitStatus.TimedOut;
                if (status != WaitStatus.Acquired)
                {
                    _seat.Silence(member);
                }

                if (status != WaitStatus.TimedOut)
                {
                    if (Volatile.Read(ref _waiting) != 0 && _seat.HasPending)
                    {
                        _seat.Wake();                            // what this call leaves pending nobody rings for again
                    }

                    return status;
                }
            }

            semaphore = null;
            return WaitStatus.TimedOut;
        }
    }

    /// <summary>Takes a token from any member, waiting for one.</summary>
    /// <param name="timeout">Longest time; <see cref="Timeout.InfiniteTimeSpan"/> for none.</param>
    /// <param name="semaphore">Which member it was (Acquired, Corrupt), or null.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="OperationCanceledException">Nothing was taken.</exception>
    /// <exception cref="InvalidOperationException">Another thread waits on this set.</exception>
    public WaitStatus WaitAny(TimeSpan timeout, out SharedSemaphore? semaphore, CancellationToken cancellationToken = default)
    {
        WaitSlice.Demand(timeout);
        cancellationToken.ThrowIfCancellationRequested();
        WaitStatus status = TryWaitAny(out semaphore);
        if (status != WaitStatus.TimedOut || timeout == TimeSpan.Zero)
        {
            return status;
        }

        BeginWait();
        try
        {
            return WaitLong(WaitSlice.Until(timeout), out semaphore, cancellationToken);
        }
        finally
        {
            EndWait();
        }
    }

    /// <summary>From here on the seat is not given back.</summary>
    /// <exception cref="InvalidOperationException">Another thread waits on this set.</exception>
    internal void BeginWait()
    {
        if (Interlocked.Exchange(ref _waiting, 1) != 0)
        {
            throw new InvalidOperationException("Another thread waits on this set: its seat has one word to sleep on. Join a seat for each "
                + "waiting thread.");
        }
    }

    internal void EndWait() => Volatile.Write(ref _waiting, 0);

    /// <summary>Takes a token from any member, waiting for one without a thread.</summary>
    /// <exception cref="OperationCanceledException">Nothing was taken.</exception>
    /// <exception cref="SegmentException">As <see cref="SharedSemaphore.WaitAsync"/>.</exception>
    /// <returns>What <see cref="TryWaitAny"/> returns.</returns>
    public async ValueTask<(WaitStatus Status, SharedSemaphore? Semaphore)> WaitAnyAsync(CancellationToken cancellationToken = default)
    {
        WaitSignal signal = Signal();
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Task rung = signal.Next;                             // before the look: what rings after it ends this task
            WaitStatus status = TryWaitAny(out SharedSemaphore? semaphore);
            if (status != WaitStatus.TimedOut)
            {
                return (status, semaphore);
            }

            await rung.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// Takes all members out and gives the seat back; whoever waits gets an <see cref="ObjectDisposedException"/>. Closing the segment does
    /// it too. A waiter that is stopped for 2 s is not waited for longer: the seat is given back when that waiter goes on and leaves.
    /// </summary>
    public void Dispose()
    {
        if (!Interlocked.Exchange(ref _disposed, true))
        {
            _segment.Detach(this);
            _seat.Leave(() => Volatile.Read(ref _waiting) == 0);
            Interlocked.Exchange(ref _signal, null)?.Dispose();  // SYNC set-signal: after _disposed; pairs with Signal
        }
    }

    private WaitStatus WaitLong(long until, out SharedSemaphore? semaphore, CancellationToken cancellationToken)
    {
        long began = WaitSlice.Now, spinUntil = Math.Min(until, began + _adaptive.BudgetNs(began));
        bool slept = false;
        while (true)
        {
            while (!slept && !_seat.HasRung && WaitSlice.Now < spinUntil)
            {
                AdaptiveWait.Pause();
            }

            WaitStatus status = TryWaitAny(out semaphore);
            if (status != WaitStatus.TimedOut)
            {
                _adaptive.RecordSince(began, slept);
                return status;
            }

            cancellationToken.ThrowIfCancellationRequested();
            long sliceNs = WaitSlice.Of(until, cancellationToken);
            if (sliceNs == 0)
            {
                return WaitStatus.TimedOut;
            }

            if (slept || WaitSlice.Now >= spinUntil)
            {
                slept = true;
                _seat.Park(sliceNs);
            }
        }
    }

    private WaitSignal Signal()
    {
        WaitBridge bridge = _waits.Bridge();                     // before the lock: it takes a seat
        lock (_seat.Members)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_signal is null)
            {
                var signal = new WaitSignal(bridge);
                try
                {
                    foreach (SharedSemaphore s in _seat.All())
                    {
                        signal.Add(s, new SeatBell(_seat, _seat.Add(s)));
                    }
                }
                catch (SegmentException)
                {
                    signal.Dispose();                            // out of all that it was put in
                    throw;
                }

                Interlocked.Exchange(ref _signal, signal);       // SYNC set-signal: pairs with Dispose, which may not have waited for this
                if (_disposed)
                {
                    Interlocked.Exchange(ref _signal, null)?.Dispose();
                    throw new ObjectDisposedException(nameof(SemaphoreSet));
                }

                return signal;
            }

            return _signal;
        }
    }
}
