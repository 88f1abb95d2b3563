namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>setsid(2): a session without a terminal.</summary>
    public static int Setsid() => (int)Invoke(SyscallNumber.Setsid);

    /// <summary>geteuid(2).</summary>
    public static int Geteuid() => (int)Invoke(SyscallNumber.Geteuid);

    /// <summary>getegid(2).</summary>
    public static int Getegid() => (int)Invoke(SyscallNumber.Getegid);
}
