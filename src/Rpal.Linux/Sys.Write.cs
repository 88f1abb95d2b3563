namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>write(2). The runtime ignores SIGPIPE, so a closed reader is -EPIPE.</summary>
    /// <returns>Bytes written, which may be fewer than asked, or -errno: EAGAIN, EINTR, EPIPE.</returns>
    public static nint Write(int fd, void* buffer, nuint count) => Invoke(SyscallNumber.Write, fd, (nint)buffer, (nint)count);
}
