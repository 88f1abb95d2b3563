using Rpal.Linux;

namespace Rpal.Hosting.Broker;

/// <summary>Descriptors of those who call, as copies of the host's own.</summary>
/// <remarks><code>
/// main thread                        pidfd of the member, pidfd_getfd: the table of that thread
/// another thread                     pidfd of the thread (PIDFD_THREAD, Linux 6.9), pidfd_getfd
///   before 6.9                       pidfd of the member where kcmp says that both have one table
/// not permitted, or another table    /proc/TID/fd opened again: files only, no sockets and the like
/// </code>pidfd_getfd needs CAP_SYS_PTRACE under Docker's default profile; /proc does not.</remarks>
internal sealed class CallerDescriptors(int pid, int pidfd)
{
    /// <summary>O_ACCMODE.</summary>
    private const int AccessMode = 3;

    /// <summary>PIDFD_THREAD, Linux 6.9.</summary>
    private const uint PidfdThread = 0x80;

    /// <returns>A descriptor of the host, which the calling thread of this process closes, or -errno: EBADF.</returns>
    /// <exception cref="IOException">The host has no descriptor left.</exception>
    public int Copy(in Caller caller, int fd)
    {
        int copy = caller.Tid == pid ? Sys.PidfdGetfd(pidfd, fd, 0) : CopyOfThread(caller.Tid, fd);
        copy = copy == -(int)Errno.EMFILE ? throw new IOException(ErrnoText.Describe(copy))
            : copy >= 0 || copy == -(int)Errno.EBADF ? copy
            : Reopen(caller.Tid, fd);
        if (copy >= 0 && !caller.StillWaits)
        {
            _ = Sys.Close(copy);                                 // it was killed, and somebody else may have its number
            return -(int)Errno.EBADF;
        }

        return copy;
    }

    private int CopyOfThread(int tid, int fd)
    {
        int thread = Sys.PidfdOpen(tid, PidfdThread);
        if (thread == -(int)Errno.EINVAL)
        {
            thread = Sys.PidfdOpen(tid, 0);                      // the kernel knows no PIDFD_THREAD: works for a process's first thread
        }

        if (thread < 0)
        {
            return thread == -(int)Errno.EINVAL && Sys.HaveOneDescriptorTable(pid, tid) ? Sys.PidfdGetfd(pidfd, fd, 0) : thread;
        }

        int copy = Sys.PidfdGetfd(thread, fd, 0);
        _ = Sys.Close(thread);
        return copy;
    }

    /// <summary>With the access that the member's own descriptor has: it decides what may be mapped, also by mprotect later.</summary>
    private static int Reopen(int tid, int fd)
    {
        string? line;
        try
        {
            line = File.ReadLines($"/proc/{tid}/fdinfo/{fd}").FirstOrDefault(l => l.StartsWith("flags:", StringComparison.Ordinal));
        }
        catch (IOException)
        {
            line = null;                                         // no such descriptor, or its owner has just ended
        }

        if (line is null)
        {
            return -(int)Errno.EBADF;
        }

        int flags = Convert.ToInt32(line[6..].Trim(), 8), access = flags & AccessMode;
        return (flags & OpenFlags.Path) != 0
            ? -(int)Errno.EBADF
            : Sys.Open($"/proc/{tid}/fd/{fd}", access | OpenFlags.CloseOnExec | OpenFlags.NonBlocking);
    }
}
