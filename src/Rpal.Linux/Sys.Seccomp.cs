namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>seccomp(2). Operations: <see cref="SeccompOp"/>, flags: <see cref="SeccompFlags"/>.</summary>
    /// <returns>0, the listener's descriptor with NewListener, or -errno.</returns>
    public static int Seccomp(uint op, uint flags, void* args) =>
        (int)Invoke(SyscallNumber.Seccomp, (nint)op, (nint)flags, (nint)args);
}
