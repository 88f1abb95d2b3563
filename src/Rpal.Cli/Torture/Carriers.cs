using System.Diagnostics;
using Rpal.Linux;

namespace Rpal.Cli.Torture;

/// <summary>Whose thread makes a stretch of calls. What identifies a thread (GS, FS, TID, stack) is inherited or comes back, differently
/// for each.</summary>
internal enum Carrier
{
    /// <summary>The last of three: a thread calls, starts the second and ends; the second waits for its TID to be gone and starts the
    /// third, which gets its stack.</summary>
    Heir,

    /// <summary>A thread of the pool.</summary>
    PoolThread,

    /// <summary>The thread that runs a timer's callback.</summary>
    TimerThread,

    /// <summary>The thread on which an awaited <see cref="RpalConnection.ConnectAsync(string, CancellationToken)"/> goes on.</summary>
    Continuation,

    Count,
}

/// <summary>Threads for stretches of calls. What a stretch throws nobody catches: it ends the process.</summary>
internal static class Carriers
{
    private const int TimerMs = 1;

    /// <summary>From a thread's last statement until the kernel has none of that number. The rest is for busy CPUs.</summary>
    private static readonly TimeSpan s_endLimit = TimeSpan.FromSeconds(20);

    public static Task HeirAsync(Action stretch)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(() =>
        {
            stretch();
            int first = Sys.GetTid();
            new Thread(() =>
            {
                AwaitEndOf(first);
                new Thread(() => Carry(stretch, done)) { Name = "heir" }.Start();
            })
            { Name = "heir's starter" }.Start();
        })
        { Name = "heir's first" }.Start();
        return done.Task;
    }

    public static async Task PoolThreadAsync(Action stretch)
    {
        await Task.Delay(TimerMs).ConfigureAwait(false);
        await Task.Run(stretch).ConfigureAwait(false);
    }

    public static async Task TimerThreadAsync(Action stretch)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var timer = new Timer(_ => Carry(stretch, done), null, TimerMs, Timeout.Infinite);
        await done.Task.ConfigureAwait(false);
    }

    private static void Carry(Action stretch, TaskCompletionSource done)
    {
        stretch();
        done.SetResult();
    }

    /// <summary>Waits until the kernel has no such thread: its managed thread ends before.</summary>
    private static void AwaitEndOf(int tid)
    {
        for (long begin = Stopwatch.GetTimestamp(); Sys.Tgkill(Sys.GetPid(), tid, 0) == 0; Thread.Yield())
        {
            if (Stopwatch.GetElapsedTime(begin) > s_endLimit)
            {
                throw new TimeoutException($"Thread {tid} has returned and is still there after {s_endLimit.TotalSeconds} s.");
            }
        }
    }
}
