namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>pidfd_open(2). The descriptor is close-on-exec.</summary>
    /// <returns>The descriptor, or -errno: ESRCH.</returns>
    public static int PidfdOpen(int pid, uint flags) => (int)Invoke(SyscallNumber.PidfdOpen, pid, (nint)flags);

    /// <summary>pidfd_getfd(2): a copy of another process's descriptor.</summary>
    /// <returns>The new descriptor, or -errno: EPERM without ptrace access, EBADF, ESRCH.</returns>
    public static int PidfdGetfd(int pidfd, int fd, uint flags) =>
        (int)Invoke(SyscallNumber.PidfdGetfd, pidfd, fd, (nint)flags);

    /// <summary>pidfd_send_signal(2), as kill(2) would.</summary>
    public static int PidfdSendSignal(int pidfd, int signal) => (int)Invoke(SyscallNumber.PidfdSendSignal, pidfd, signal);
}
