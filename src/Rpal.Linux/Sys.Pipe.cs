namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>pipe2(2). Flags: <see cref="OpenFlags.CloseOnExec"/>, <see cref="OpenFlags.NonBlocking"/>.</summary>
    /// <returns>0, or -errno; then both descriptors are -1.</returns>
    public static int Pipe2(out int readEnd, out int writeEnd, int flags)
    {
        int* pair = stackalloc int[2] { -1, -1 };
        int result = (int)Invoke(SyscallNumber.Pipe2, (nint)pair, flags);
        (readEnd, writeEnd) = (pair[0], pair[1]);
        return result;
    }
}
