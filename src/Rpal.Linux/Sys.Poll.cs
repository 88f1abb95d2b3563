namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>poll(2). A timeout of -1 waits without a bound.</summary>
    /// <returns>The number of entries with events, 0 on timeout, or -errno: EINTR.</returns>
    public static int Poll(PollFd* fds, uint count, int timeoutMs) =>
        (int)Invoke(SyscallNumber.Poll, (nint)fds, (nint)count, timeoutMs);
}
