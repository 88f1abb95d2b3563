using System.Collections.Concurrent;

namespace Rpal.Hosting.Supervision;

/// <summary>The thread that starts members and decides about them, one thing after the other. Members get their parent death signal when it ends.</summary>
internal sealed class HostThread : IDisposable
{
    /// <summary>For what was posted before the end. One action at most waits for something outside: a start, for a file system or the new
    /// process.</summary>
    private static readonly TimeSpan s_endPatience = TimeSpan.FromSeconds(10);

    private readonly BlockingCollection<Action> _work = [];
    private readonly Action<string> _notice;
    private readonly Thread _thread;

    /// <param name="notice">Told of what a posted action threw: the family goes on without what was left of that action.</param>
    public HostThread(Action<string> notice)
    {
        _notice = notice;
        _thread = GuardedThread.Start("family host", Run, notice);
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

    /// <summary>Waits until all that was posted is done. A thread that takes too long is told of and left behind with its queue: it ends
    /// when that is done, and with it the members that it started since; at the latest it ends with this process.</summary>
    public void Dispose()
    {
        _work.CompleteAdding();
        if (_thread.Join(s_endPatience))
        {
            _work.Dispose();
        }
        else
        {
            _notice($"The host's thread has not ended within {s_endPatience.TotalSeconds} s, it may be waiting for a file system. "
                + "It is left behind: what it still starts ends with this process.");
        }
    }

    private void Run()
    {
        foreach (Action action in _work.GetConsumingEnumerable())
        {
            try
            {
                action();
            }
            catch (Exception e)
            {
                GuardedThread.TryTo(() => _notice($"An error in the host, the family goes on: {e.OneLine()}"));
            }
        }
    }
}
