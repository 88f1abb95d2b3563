using Rpal.Hosting.Loading;
using Rpal.Linux;

namespace Rpal.Hosting.Supervision;

/// <summary>Reaps what becomes this process's child without having been started by it: orphans, where it is process 1 of its PID namespace,
/// a container's entry point.</summary>
/// <remarks>Only in programs that are a host and nothing else, see <see cref="Readiness"/>: in others the runtime's Process class does it,
/// or the program itself.</remarks>
internal static class OrphanReaper
{
    /// <summary>While the first child that has ended is somebody's who waits for it, and while there is none at all.</summary>
    private const int PauseMs = 100;

    public static void StartIfNeeded(Action<string> notice)
    {
        if (Environment.ProcessId == 1 && Readiness.IsHostAlone)
        {
            GuardedThread.Start("orphans", Run, notice);
        }
    }

    private static void Run()
    {
        while (true)
        {
            int r = Sys.Wait(0, WaitOptions.Exited | WaitOptions.NoWait, out SigInfoChild info);
            if (r < 0 || !IsProcess(info.Pid)
                || !TaskSteps.ReapUnlessAwaited(info.Pid, () => _ = Sys.Wait(info.Pid, WaitOptions.Exited | WaitOptions.NoHang, out _)))
            {
                // ECHILD has no event, and a member is reaped when its callers have been told.
                Thread.Sleep(PauseMs);
            }
        }
    }

    /// <summary>Not a thread that ExitWatch traces: that one takes its end.</summary>
    private static bool IsProcess(int pid)
    {
        try
        {
            return File.ReadLines($"/proc/{pid}/status").Any(l => l == $"Tgid:\t{pid}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
