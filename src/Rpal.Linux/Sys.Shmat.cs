namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>shmat(2): attaches a System V segment.</summary>
    /// <returns>The address, or -errno.</returns>
    public static nint Shmat(int id, nint address, int flags) => Invoke(SyscallNumber.Shmat, id, address, flags);
}
