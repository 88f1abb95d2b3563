using Rpal.Hosting.Loading;
using Rpal.Linux;

namespace Rpal.Hosting.Death;

/// <summary>Looks whether a member that asked to execute another program has done so: then its process lives, and the member does
/// not.</summary>
/// <remarks><code>
/// Idle ── Ask ──► Pending ── the process has another address space ─────────────► Left: told, and its slot reclaimed, as at a death
///  ▲               │    ▲ Ask: the patience begins anew
///  │               │    └─ Dying: it has no address space any more, and threads still ── its end is told by whoever awaits that
///  └───────────────┘
///    each thread that asked is in another system call: its execve failed (ENOENT, EACCES); or the patience is over; or it has ended
/// </code>
/// Ask is called by the broker's thread, Await by the watch's own. A state changes under the lock, so no Ask is between a last look and
/// Idle. Comes back: a thread's number, when it asks again before it was seen to have failed. So each Ask has a number of its own.
/// </remarks>
/// <param name="hasLeft">Whether the process has another address space.</param>
/// <param name="hasFailed">Whether that thread is not in execve any more.</param>
/// <param name="hasEnded">Whether nobody needs to look any more.</param>
/// <param name="patience">How long an execve may take, on a file system that hangs. One that takes longer is told of at its process's
/// end.</param>
internal sealed class ExecWatch(Func<bool> hasLeft, Func<int, bool> hasFailed, Func<bool> hasEnded, TimeSpan patience)
{
    /// <summary>For <see cref="Of"/>.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private const int FirstLookMs = 1, LongestLookMs = 100;

    private readonly Lock _lock = new();
    private readonly Dictionary<int, long> _asking = [];
    private long _asked, _until;
    private bool _isPending;

    /// <summary>Whether some execve may still succeed.</summary>
    public bool IsPending => Volatile.Read(ref _isPending);

    /// <summary>A watch of a process that is not reaped before <paramref name="hasEnded"/> says so.</summary>
    public static ExecWatch Of(int pid, Func<bool> hasEnded) =>
        new(() => AddressSpace.IsOutside(pid), tid => IsInAnotherCall(pid, tid), hasEnded, Patience);

    /// <summary>Notes that a thread is about to execute another program, if that can be executed.</summary>
    /// <returns>Whether it was Idle: then the caller has a thread call <see cref="Await"/>, or calls <see cref="GiveUp"/>.</returns>
    public bool Ask(int tid)
    {
        lock (_lock)
        {
            _asking[tid] = ++_asked;
            _until = Environment.TickCount64 + (long)patience.TotalMilliseconds;
            return !Interlocked.Exchange(ref _isPending, true);
        }
    }

    /// <summary>Becomes Idle without a look: there is no thread to look.</summary>
    public void GiveUp()
    {
        lock (_lock)
        {
            _asking.Clear();
            Volatile.Write(ref _isPending, false);
        }
    }

    /// <summary>Waits, on the calling thread, until the watch is Left or Idle.</summary>
    /// <returns>Whether it is Left.</returns>
    public bool Await()
    {
        for (int look = FirstLookMs; ; look = Math.Min(2 * look, LongestLookMs))
        {
            KeyValuePair<int, long>[] failed = Failed();
            if (hasLeft())                                       // after Failed: a thread of the new program is in another call too
            {
                GiveUp();
                return true;
            }

            if (!IsStillPending(failed))
            {
                return false;
            }

            Thread.Sleep(look);                                  // the kernel tells nobody of an execve but a tracer
        }
    }

    private KeyValuePair<int, long>[] Failed()
    {
        KeyValuePair<int, long>[] asking;
        lock (_lock)
        {
            asking = [.. _asking];
        }

        return Array.FindAll(asking, a => hasFailed(a.Key));
    }

    private bool IsStillPending(KeyValuePair<int, long>[] failed)
    {
        bool isOver = hasEnded();
        lock (_lock)
        {
            foreach ((int tid, long number) in failed)
            {
                _ = _asking.GetValueOrDefault(tid) == number && _asking.Remove(tid);
            }

            if (_asking.Count > 0 && Environment.TickCount64 < _until && !isOver)
            {
                return true;
            }

            _asking.Clear();
            Volatile.Write(ref _isPending, false);
            return false;
        }
    }

    /// <summary>Whether a thread waits in the kernel, and not in execve. One that computes says nothing.
    /// Source: proc_pid_syscall(5).</summary>
    private static bool IsInAnotherCall(int pid, int tid)
    {
        try
        {
            string call = File.ReadAllText($"/proc/{pid}/task/{tid}/syscall");
            return int.TryParse(call.AsSpan(0, Math.Max(0, call.IndexOf(' '))), out int number)
                && number is not ((int)SyscallNumber.Execve or (int)SyscallNumber.Execveat);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It cannot be read, or the thread has another number: the first one's, in execve.
            return false;
        }
    }
}
