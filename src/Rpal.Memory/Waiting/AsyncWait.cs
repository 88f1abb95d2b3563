using System.Collections.Concurrent;
using System.Threading.Tasks.Sources;

namespace Rpal.Memory.Waiting;

/// <summary>One asynchronous wait. The objects are used again: a wait allocates nothing once as many as wait at the same time exist.</summary>
/// <remarks><code>
/// pooled ──Rent──► waiting (in its semaphore's queue) ──Complete, Fail──► ended ──result taken──► pooled
/// </code>Its fields change under the bridge's lock.</remarks>
internal sealed class AsyncWait : IValueTaskSource<WaitStatus>
{
    private const int PoolLimit = 4096;

    private static readonly ConcurrentBag<AsyncWait> s_pool = [];
    private static int s_pooled;

    private ManualResetValueTaskSourceCore<WaitStatus> _core = new() { RunContinuationsAsynchronously = true };
    private CancellationTokenRegistration _registration;
    private WaitBridge? _bridge;

    /// <summary>In the queue; null before and after.</summary>
    public LinkedListNode<AsyncWait>? Place { get; set; }

    public bool IsCancelled { get; set; }

    public ValueTask<WaitStatus> Task => new(this, _core.Version);

    public static AsyncWait Rent(WaitBridge bridge, CancellationToken cancellationToken)
    {
        if (s_pool.TryTake(out AsyncWait? wait))
        {
            Interlocked.Decrement(ref s_pooled);
        }

        wait ??= new AsyncWait();
        wait._bridge = bridge;
        wait._registration = cancellationToken.UnsafeRegister(static (w, t) => ((AsyncWait)w!)._bridge!.Cancel((AsyncWait)w, t), wait);
        return wait;
    }

    public void Complete(WaitStatus status)
    {
        Place = null;
        _core.SetResult(status);
    }

    public void Fail(Exception exception)
    {
        Place = null;
        _core.SetException(exception);
    }

    public WaitStatus GetResult(short token)
    {
        if (token != _core.Version || _core.GetStatus(token) == ValueTaskSourceStatus.Pending)
        {
            return _core.GetResult(token);                       // throws: asked for twice, or too early. The object is another wait's by now, or still in the queue
        }

        try
        {
            return _core.GetResult(token);
        }
        finally
        {
            Return();
        }
    }

    public ValueTaskSourceStatus GetStatus(short token) => _core.GetStatus(token);

    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);

    private void Return()
    {
        _registration.Dispose();                                 // waits for a callback that runs: none reaches the next use
        (_registration, _bridge, IsCancelled) = (default, null, false);
        _core.Reset();
        if (Interlocked.Increment(ref s_pooled) <= PoolLimit)
        {
            s_pool.Add(this);
        }
        else
        {
            Interlocked.Decrement(ref s_pooled);
        }
    }
}
