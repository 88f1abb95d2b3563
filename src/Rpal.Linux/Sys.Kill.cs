namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>kill(2). Signals: <see cref="Signal"/>; 0 only asks.</summary>
    public static int Kill(int pid, int signal) => (int)Invoke(SyscallNumber.Kill, pid, signal);

    /// <summary>tgkill(2): a signal to one thread.</summary>
    public static int Tgkill(int tgid, int tid, int signal) => (int)Invoke(SyscallNumber.Tgkill, tgid, tid, signal);
}
