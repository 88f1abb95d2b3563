namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>getpid(2), the raw call: right in a clone that libc knows nothing about.</summary>
    public static int GetPid() => (int)Invoke(SyscallNumber.Getpid);

    /// <summary>gettid(2), the raw call.</summary>
    public static int GetTid() => (int)Invoke(SyscallNumber.Gettid);
}
