using Microsoft.Win32.SafeHandles;

namespace Rpal.Memory.Waiting;

/// <summary>What the bridge does for a semaphore or a set whose user does not sleep in a thread: writes an eventfd, ends a task.</summary>
internal sealed class WaitSignal(WaitBridge bridge) : IDisposable
{
    private readonly Lock _lock = new();
    private TaskCompletionSource _next = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private SafeFileHandle? _eventFd;

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
                return _eventFd ??= WaitBridge.CreateEventFd();
            }
        }
    }

    public void Add(SharedSemaphore semaphore) => bridge.AddSignal(semaphore, this);

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

    public void Dispose()
    {
        bridge.RemoveSignal(this);
        Ring();
        lock (_lock)
        {
            _eventFd?.Dispose();
        }
    }
}
