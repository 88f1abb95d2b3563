namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>waitid(2) with P_PIDFD. Options: <see cref="WaitOptions"/>.</summary>
    /// <param name="pidfd">Of a child.</param>
    /// <param name="options">At least one of Exited, Stopped, Continued.</param>
    /// <param name="info">With NoHang and nothing to report, all zero.</param>
    /// <returns>0, or -errno: ECHILD, EINTR.</returns>
    public static int WaitPidfd(int pidfd, int options, out SigInfoChild info)
    {
        SigInfoChild local = default;
        int result = (int)Invoke(SyscallNumber.Waitid, IdTypePidfd, pidfd, (nint)(&local), options);
        info = local;
        return result;
    }

    /// <summary>waitid(2) with P_PID, or with P_ALL when <paramref name="pid"/> is 0.</summary>
    /// <inheritdoc cref="WaitPidfd"/>
    public static int Wait(int pid, int options, out SigInfoChild info)
    {
        SigInfoChild local = default;
        int result = (int)Invoke(SyscallNumber.Waitid, pid == 0 ? IdTypeAll : IdTypePid, pid, (nint)(&local), options);
        info = local;
        return result;
    }

    private const int IdTypeAll = 0, IdTypePid = 1, IdTypePidfd = 3;
}
