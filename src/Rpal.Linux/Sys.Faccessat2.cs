namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>faccessat2(2) with X_OK: may this process, as it is now, execute an open file? Since Linux 5.8.</summary>
    /// <returns>0 when it may, or -errno: EACCES no permission, or a file system mounted noexec; ENOSYS or EPERM where the call is not
    /// allowed.</returns>
    public static int MayExecute(int fd)
    {
        const int execute = 1, effectiveIds = 0x200, emptyPath = 0x1000;     // X_OK, AT_EACCESS, AT_EMPTY_PATH
        byte empty = 0;
        return (int)Invoke(SyscallNumber.Faccessat2, fd, (nint)(&empty), execute, effectiveIds | emptyPath);
    }

    /// <summary>fstatfs(2), ST_NOEXEC: nothing of the file system can be executed.</summary>
    public static bool IsMountedNoexec(int fd)
    {
        const long noexec = 8;
        StatFs system;
        return Invoke(SyscallNumber.Fstatfs, fd, (nint)(&system)) == 0 && (system.Flags & noexec) != 0;
    }
}
