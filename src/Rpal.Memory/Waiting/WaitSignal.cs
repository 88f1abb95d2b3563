using Microsoft.Win32.SafeHandles;

namespace Rpal.Memory.Waiting;

/// <summary>What the bridge does for a semaphore or a set whose user does not sleep in a thread: writes an eventfd, ends a task.</summary>
internal sealed class WaitSignal(WaitBridge bridge) : IDisposable
{
    private readonly Lock _lock = new();
    private TaskCompletionSource _next = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private SafeFileHandle? _eventFd;
    private bool _isDisposed;

    /// <summary>Whether nobody asks for it any more: the bridge drops it when it meets it, if it is not out of all already.</summary>
    public bool IsDisposed => Volatile.Read(ref _isDisposed);

    /// <summary>Ends when something rings after this was read.</summary>
    public Task Next
    {
        get
        {
            lock (_lock)
            {
                return _next.Task;
            }
        }
    }

    /// <summary>Made when it is first asked for; then readable at once, so that its user looks.</summary>
    public SafeFileHandle EventFd
    {
        get
        {
            lock (_lock)
            {
                return _eventFd is { IsClosed: false } made ? made : _eventFd = WaitBridge.CreateEventFd();
            }
        }
    }

    /// <summary>Whether its user has closed the eventfd.</summary>
    public bool IsClosed
    {
        get
        {
            lock (_lock)
            {
                return _eventFd is { IsClosed: true };
            }
        }
    }

    /// <param name="semaphore">Whose tokens it tells of.</param>
    /// <param name="bell">Is rung first: else the set's user could look before the releaser's ring was there, or in vain if the releaser died before it.</param>
    public void Add(SharedSemaphore semaphore, SeatBell bell) => bridge.AddSignal(semaphore, this, bell);

    public void Remove(SharedSemaphore semaphore) => bridge.RemoveSignal(semaphore, this);

    /// <summary>By the bridge: a semaphore has tokens.</summary>
    public void Ring()
    {
        lock (_lock)
        {
            if (_eventFd is { IsClosed: false } fd)
            {
                WaitBridge.Write(fd);
            }

            TaskCompletionSource rung = _next;
            _next = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            rung.SetResult();
        }
    }

    /// <summary>Closes the eventfd. None is made for that.</summary>
    public void CloseEventFd()
    {
        lock (_lock)
        {
            _eventFd?.Dispose();
        }
    }

    public void Dispose()
    {
        Volatile.Write(ref _isDisposed, true);
        bridge.RemoveSignal(this);
        Ring();
        CloseEventFd();
    }
}

/// <summary>A member's bell in a set's seat.</summary>
internal readonly record struct SeatBell(SetSeat? Seat, int Member)
{
    public void Ring() => Seat?.Ring(Member);
}
