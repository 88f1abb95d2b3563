namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>membarrier(2). Commands: <see cref="MembarrierCommand"/>.</summary>
    /// <returns>0, the supported commands for Query, or -errno: EPERM not registered.</returns>
    public static int Membarrier(int command, uint flags) => (int)Invoke(SyscallNumber.Membarrier, command, (nint)flags);
}
