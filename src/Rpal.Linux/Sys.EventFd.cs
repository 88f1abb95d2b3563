namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>eventfd2(2). Flags: <see cref="EventFdFlags"/>.</summary>
    public static int EventFd(uint initial, int flags) => (int)Invoke(SyscallNumber.Eventfd2, (nint)initial, flags);
}
