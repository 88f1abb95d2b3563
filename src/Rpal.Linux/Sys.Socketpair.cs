namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>socketpair(2). Domains and types: <see cref="SocketDomain"/>, <see cref="SocketType"/>.</summary>
    /// <returns>0, or -errno; then both descriptors are -1.</returns>
    public static int SocketPair(int domain, int type, out int a, out int b)
    {
        int* pair = stackalloc int[2] { -1, -1 };
        int result = (int)Invoke(SyscallNumber.Socketpair, domain, type, 0, (nint)pair);
        (a, b) = (pair[0], pair[1]);
        return result;
    }
}
