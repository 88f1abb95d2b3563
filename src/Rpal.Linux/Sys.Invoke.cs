using System.Runtime.InteropServices;

namespace Rpal.Linux;

/// <summary>The system calls that Rpal makes, one family per file. All keep the kernel's convention:
/// 0 or more on success, -errno on failure. EINTR is returned, never looped on.</summary>
internal static unsafe partial class Sys
{
    /// <summary>syscall(2): any system call by number, see <see cref="SyscallNumber"/>.</summary>
    /// <returns>0 or more on success, -errno on failure, as the kernel itself returns. EINTR is returned, never looped on.</returns>
    public static nint Invoke(long number, nint a = 0, nint b = 0, nint c = 0, nint d = 0, nint e = 0, nint f = 0)
    {
        nint result = LibcSyscall((nint)number, a, b, c, d, e, f);
        return result == -1 ? -Marshal.GetLastPInvokeError() : result;
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint LibcSyscall(nint number, nint a, nint b, nint c, nint d, nint e, nint f);
}
