namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>futex(2), FUTEX_WAIT on a process-private word.</summary>
    /// <param name="word">4-byte aligned.</param>
    /// <param name="expected">Sleeps only while the word has this value.</param>
    /// <param name="timeoutNs">Relative, CLOCK_MONOTONIC; -1 waits without a bound.</param>
    /// <returns>0 when woken (or spuriously), or -errno: EAGAIN the word had already changed, EINTR, ETIMEDOUT.</returns>
    public static int FutexWait(uint* word, uint expected, long timeoutNs) => FutexWait(word, FutexOp.WaitPrivate, expected, timeoutNs);

    /// <summary>futex(2), FUTEX_WAKE on a process-private word.</summary>
    /// <returns>The number of waiters woken, or -errno.</returns>
    public static int FutexWake(uint* word, int count) =>
        (int)Invoke(SyscallNumber.Futex, (nint)word, FutexOp.WakePrivate, count);

    /// <summary>As <see cref="FutexWait(uint*, uint, long)"/>, on a word that processes share.</summary>
    public static int FutexWaitShared(uint* word, uint expected, long timeoutNs) => FutexWait(word, FutexOp.Wait, expected, timeoutNs);

    /// <summary>As <see cref="FutexWake"/>, on a word that processes share.</summary>
    public static int FutexWakeShared(uint* word, int count) =>
        (int)Invoke(SyscallNumber.Futex, (nint)word, FutexOp.Wake, count);

    private static int FutexWait(uint* word, int op, uint expected, long timeoutNs)
    {
        if (timeoutNs == -1)
        {
            return (int)Invoke(SyscallNumber.Futex, (nint)word, op, (nint)expected);
        }

        Timespec timeout = Timespec.FromNs(timeoutNs);
        return (int)Invoke(SyscallNumber.Futex, (nint)word, op, (nint)expected, (nint)(&timeout));
    }
}
