namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>prctl(2). Operations: <see cref="PrctlOp"/>.</summary>
    public static int Prctl(int op, nint a, nint b, nint c, nint d) => (int)Invoke(SyscallNumber.Prctl, op, a, b, c, d);
}
