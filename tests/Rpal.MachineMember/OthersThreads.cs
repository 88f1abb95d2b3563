namespace Rpal.MachineMember;

/// <summary>Work on threads that the runtime has for everybody, which it starts from whatever thread it likes.</summary>
internal static class OthersThreads
{
    private const int PauseMs = 1;

    /// <summary>More than all calls of a piece of work may take: each waits 20 s for a receiver at most.</summary>
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(60);

    /// <summary>Has it done twice: by a thread of the pool after an await, and by one that runs a timer's callback.</summary>
    /// <exception cref="TimeoutException">It does not end.</exception>
    public static void Run(Action work)
    {
        using var timed = new ManualResetEventSlim();
        if (!PoolAsync(work).Wait(s_limit))
        {
            throw new TimeoutException($"A thread of the pool has not ended its calls in {s_limit.TotalSeconds} s.");
        }

        using var timer = new Timer(_ =>
        {
            work();
            timed.Set();
        }, null, PauseMs, Timeout.Infinite);
        if (!timed.Wait(s_limit))
        {
            throw new TimeoutException($"A timer's thread has not ended its calls in {s_limit.TotalSeconds} s.");
        }
    }

    private static async Task PoolAsync(Action work)
    {
        await Task.Delay(PauseMs).ConfigureAwait(false);
        await Task.Run(work).ConfigureAwait(false);
    }
}
