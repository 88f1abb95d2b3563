using Rpal.Hosting.Loading;

namespace Rpal.Hosting.Death;

/// <summary>Looks whether a member that asked to execute another program has done so: then its process lives, and the member does
/// not.</summary>
/// <remarks><code>
/// execve asked ──► all threads gone from the address space ──► left: told as a death
///                  it did not come to that (ENOENT, EACCES)    the watch ends
/// </code></remarks>
internal static class ExecWatch
{
    private const int FirstLookMs = 1, LongestLookMs = 100;

    /// <summary>How long an execve may take, on a file system that hangs. One that takes longer is told of at its process's end.</summary>
    private const int PatienceMs = 60_000;

    /// <summary>Waits, on the calling thread, until no thread of the process is in this address space any more.</summary>
    /// <param name="pid">The member's process, not reaped while <paramref name="isRunning"/> says so.</param>
    /// <param name="isRunning">Whether it is still to be looked for.</param>
    /// <returns>Whether it has left, alive. False: it has not, or it has ended.</returns>
    public static bool Await(int pid, Func<bool> isRunning)
    {
        int waited = 0;
        for (int look = FirstLookMs; waited < PatienceMs && isRunning(); look = Math.Min(2 * look, LongestLookMs))
        {
            if (!AnyIsInside(pid))
            {
                return isRunning();
            }

            Thread.Sleep(look);                                  // the kernel tells nobody of an execve but a tracer
            waited += look;
        }

        return false;
    }

    /// <summary>Each thread: the first may have ended before the others.</summary>
    private static bool AnyIsInside(int pid)
    {
        try
        {
            return Directory.EnumerateDirectories($"/proc/{pid}/task")
                .Any(static task => int.TryParse(Path.GetFileName(task), out int tid) && AddressSpace.IsSharedBy(tid));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return true;                                         // it has ended, or cannot be looked at just now
        }
    }
}
