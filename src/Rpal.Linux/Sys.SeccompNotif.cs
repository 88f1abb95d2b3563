namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>seccomp_unotify(2), SECCOMP_IOCTL_NOTIF_RECV. Clears <paramref name="notif"/> first, as the kernel demands.</summary>
    /// <returns>0, or -errno: EINTR, ENOENT the caller died before it was received.</returns>
    public static int NotifReceive(int fd, SeccompNotif* notif)
    {
        *notif = default;
        return NotifIoctl(fd, SeccompIoctl.Receive, (nint)notif);
    }

    /// <summary>seccomp_unotify(2), SECCOMP_IOCTL_NOTIF_SEND.</summary>
    /// <returns>0, or -errno: ENOENT the caller is gone or was interrupted, EINPROGRESS answered already.</returns>
    public static int NotifSend(int fd, SeccompNotifResponse* response) =>
        NotifIoctl(fd, SeccompIoctl.Send, (nint)response);

    /// <summary>seccomp_unotify(2), SECCOMP_IOCTL_NOTIF_ID_VALID: is the caller still waiting?</summary>
    /// <returns>0 when it is, -ENOENT when not.</returns>
    public static int NotifIdValid(int fd, ulong id) =>
        NotifIoctl(fd, SeccompIoctl.IdValid, (nint)(&id));

    /// <summary>seccomp_unotify(2), SECCOMP_IOCTL_NOTIF_SET_FLAGS, since Linux 6.6. The flags go by value: <see cref="SeccompNotifFlags"/>.</summary>
    public static int NotifSetFlags(int fd, ulong flags) =>
        NotifIoctl(fd, SeccompIoctl.SetFlags, (nint)flags);

    private static int NotifIoctl(int fd, uint request, nint argument) =>
        (int)Invoke(SyscallNumber.Ioctl, fd, (nint)request, argument);
}
