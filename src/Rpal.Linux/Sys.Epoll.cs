namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>epoll_create1(2). Flags: <see cref="OpenFlags.CloseOnExec"/> or 0.</summary>
    public static int EpollCreate1(int flags) => (int)Invoke(SyscallNumber.EpollCreate1, flags);

    /// <summary>epoll_ctl(2). Operations: <see cref="EpollOp"/>.</summary>
    public static int EpollCtl(int epfd, int op, int fd, EpollEvent* change) =>
        (int)Invoke(SyscallNumber.EpollCtl, epfd, op, fd, (nint)change);

    /// <summary>epoll_wait(2). A timeout of -1 waits without a bound.</summary>
    /// <returns>The number of events written, 0 on timeout, or -errno: EINTR.</returns>
    public static int EpollWait(int epfd, EpollEvent* events, int max, int timeoutMs) =>
        (int)Invoke(SyscallNumber.EpollWait, epfd, (nint)events, max, timeoutMs);
}
