namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>clock_gettime(2) of a process's CPU clock: user and system time of all its threads, those that have ended included.</summary>
    /// <param name="processId">Any process; the clock is its number, inverted, above three bits of kind. Source: clock_getcpuclockid(3).</param>
    /// <returns>Nanoseconds, or -errno: EINVAL there is no such process.</returns>
    public static long ProcessCpuNs(int processId)
    {
        const int kindScheduler = 2, kindBits = 3;
        const long nsPerSecond = 1_000_000_000;
        Timespec time;
        nint r = Invoke(SyscallNumber.ClockGettime, (~processId << kindBits) | kindScheduler, (nint)(&time));
        return r < 0 ? r : time.Seconds * nsPerSecond + time.Nanoseconds;
    }
}
