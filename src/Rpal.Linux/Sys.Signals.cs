namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>rt_sigaction(2), the raw call: <see cref="SignalActionFlags.Restorer"/> and a restorer are the caller's business.</summary>
    public static int RtSigaction(int signal, KernelSigaction* act, KernelSigaction* old) =>
        (int)Invoke(SyscallNumber.RtSigaction, signal, (nint)act, (nint)old, KernelSigsetBytes);

    /// <summary>rt_sigprocmask(2), the raw call on this thread. How: <see cref="SignalMaskHow"/>. Bit n-1 stands for signal n.</summary>
    public static int RtSigprocmask(int how, ulong* set, ulong* old) =>
        (int)Invoke(SyscallNumber.RtSigprocmask, how, (nint)set, (nint)old, KernelSigsetBytes);

    /// <summary>sigaltstack(2).</summary>
    public static int Sigaltstack(StackT* ss, StackT* old) => (int)Invoke(SyscallNumber.Sigaltstack, (nint)ss, (nint)old);

    private const int KernelSigsetBytes = 8;
}
