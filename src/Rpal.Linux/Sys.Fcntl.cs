namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>fcntl(2), F_DUPFD_CLOEXEC: a copy with the lowest free number that is at least <paramref name="lowest"/>.</summary>
    /// <returns>The new descriptor, or -errno: EBADF, EMFILE.</returns>
    public static int DuplicateFrom(int fd, int lowest) => (int)Invoke(SyscallNumber.Fcntl, fd, DupfdCloexec, lowest);

    private const int DupfdCloexec = 1030;
}
