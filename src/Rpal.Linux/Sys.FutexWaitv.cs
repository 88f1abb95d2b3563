namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>futex_waitv(2), Linux 5.16: sleeps while all words have their values.</summary>
    /// <param name="words">Up to <see cref="FutexWaitv.WordLimit"/>.</param>
    /// <param name="count">How many.</param>
    /// <param name="untilNs">Instant of CLOCK_MONOTONIC, which is <see cref="System.Diagnostics.Stopwatch.GetTimestamp"/>; -1 waits without a bound.</param>
    /// <returns>The index of a word that was woken, or -errno: EAGAIN a word had already changed, EINTR, ETIMEDOUT, ENOSYS.</returns>
    public static int FutexWaitv(FutexWaitv* words, int count, long untilNs)
    {
        const int clockMonotonic = 1;
        Timespec until = Timespec.FromNs(untilNs);
        return (int)Invoke(SyscallNumber.FutexWaitv, (nint)words, count, 0, untilNs == -1 ? 0 : (nint)(&until), clockMonotonic);
    }
}
