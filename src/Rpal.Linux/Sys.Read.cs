namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>read(2).</summary>
    /// <returns>Bytes read, 0 at the end, or -errno: EAGAIN, EINTR.</returns>
    public static nint Read(int fd, void* buffer, nuint count) => Invoke(SyscallNumber.Read, fd, (nint)buffer, (nint)count);

    /// <summary>pread(2).</summary>
    public static nint Pread(int fd, void* buffer, nuint count, long offset) =>
        Invoke(SyscallNumber.Pread64, fd, (nint)buffer, (nint)count, (nint)offset);
}
