using System.Collections.Concurrent;

namespace Rpal.Hosting.Supervision;

/// <summary>The thread that starts members and decides about them, one thing after the other. Members get their parent death signal when it ends.</summary>
internal sealed class HostThread : IDisposable
{
    private readonly BlockingCollection<Action> _work = [];
    private readonly Thread _thread;

    /// <param name="failed">Told of what a posted action threw: the family goes on without what was left of that action.</param>
    public HostThread(Action<Exception> failed)
    {
        _thread = new Thread(() =>
        {
            foreach (Action action in _work.GetConsumingEnumerable())
            {
                try
                {
                    action();
                }
                catch (Exception e)
                {
                    failed(e);
                }
            }
        })
        { IsBackground = true, Name = "family host" };
        _thread.Start();
    }

    /// <summary>Has it done; nothing happens once the host is disposed.</summary>
    public void Post(Action action)
    {
        try
        {
            _work.Add(action);
        }
        catch (InvalidOperationException)
        {
            // disposed: the family is over
        }
    }

    public void PostAfter(TimeSpan delay, Action action)
    {
        Timer? timer = null;
        timer = new Timer(_ =>
        {
            Post(action);
            timer?.Dispose();
        });
        timer.Change(delay, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Has it done and returns what came of it.</summary>
    /// <exception cref="OperationCanceledException">The host is disposed.</exception>
    public Task<T> AskAsync<T>(Func<T> question)
    {
        var answer = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        try
        {
            _work.Add(() =>
            {
                try
                {
                    answer.SetResult(question());
                }
                catch (Exception e)
                {
                    answer.SetException(e);
                }
            });
        }
        catch (InvalidOperationException)
        {
            answer.SetCanceled();
        }

        return answer.Task;
    }

    public void Dispose()
    {
        _work.CompleteAdding();
        _thread.Join();
        _work.Dispose();
    }
}
