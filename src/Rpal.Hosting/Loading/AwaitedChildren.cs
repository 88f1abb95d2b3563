using System.Runtime.InteropServices;

namespace Rpal.Hosting.Loading;

/// <summary>Children of this process that somebody here waits for: started, and not known to be reaped.</summary>
/// <remarks>
/// Comes back: a PID, between the reaping of one child and the word of it here: another start may have got it. So each number is counted,
/// and a start and a look exclude each other. Used by all threads.
/// </remarks>
internal sealed class AwaitedChildren
{
    private readonly Lock _lock = new();
    private readonly Dictionary<int, int> _starts = [];

    /// <summary>Starts a child.</summary>
    /// <param name="clone">Starts it, and returns its number or -errno.</param>
    public int Start(Func<int> clone)
    {
        lock (_lock)
        {
            int pid = clone();
            if (pid > 0)
            {
                CollectionsMarshal.GetValueRefOrAddDefault(_starts, pid, out _)++;
            }

            return pid;
        }
    }

    /// <summary>Forgets one child of that number, which has been reaped.</summary>
    public void Forget(int pid)
    {
        lock (_lock)
        {
            if (_starts.GetValueOrDefault(pid) > 1)
            {
                _starts[pid]--;
            }
            else
            {
                _ = _starts.Remove(pid);
            }
        }
    }

    /// <summary>Reaps a child unless somebody waits for it. Nobody gets its number in between.</summary>
    /// <param name="pid">A child that has ended, or had when it was looked at.</param>
    /// <param name="reap">Reaps it without waiting.</param>
    /// <returns>Whether it was nobody's.</returns>
    public bool ReapUnlessAwaited(int pid, Action reap)
    {
        lock (_lock)
        {
            if (_starts.ContainsKey(pid))
            {
                return false;
            }

            reap();
            return true;
        }
    }
}
