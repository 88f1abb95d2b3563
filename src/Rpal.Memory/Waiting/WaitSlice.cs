using System.Diagnostics;
using Rpal.Linux;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Waiting;

/// <summary>How long a sleep lasts at most before the sleeper looks by itself: to its deadline, or until it has to look at a cancellation token.</summary>
internal static class WaitSlice
{
    /// <summary>How often a sleeper looks at its cancellation token.</summary>
    public const long CancellationNs = 20_000_000;

    /// <summary>Where there is no futex_waitv.</summary>
    public const long PollNs = 1_000_000;

    /// <summary>A sleep without an end: the kernel arms no timer for it. See <see cref="SleepWatch"/> for who looks after it.</summary>
    public const long Endless = -1;

    /// <summary>How long to sleep now: nanoseconds, 0 when the time is over, or <see cref="Endless"/>.</summary>
    public static long Of(long until, CancellationToken cancellationToken)
    {
        if (until == long.MaxValue)
        {
            return cancellationToken.CanBeCanceled ? CancellationNs : Endless;
        }

        long left = Math.Max(0, until - Now);
        return cancellationToken.CanBeCanceled ? Math.Min(left, CancellationNs) : left;
    }

    /// <summary>The instant (<see cref="Now"/>) at which a timeout is over; <see cref="long.MaxValue"/> never.</summary>
    public static long Until(TimeSpan timeout)
    {
        if (timeout == Timeout.InfiniteTimeSpan)
        {
            return long.MaxValue;
        }

        long now = Now;
        return timeout.Ticks > (long.MaxValue - now) / 100 ? long.MaxValue : now + timeout.Ticks * 100;
    }

    /// <summary>Before anything is taken.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Negative, and not <see cref="Timeout.InfiniteTimeSpan"/>.</exception>
    public static void Demand(TimeSpan timeout)
    {
        if (timeout != Timeout.InfiniteTimeSpan)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(timeout, TimeSpan.Zero);
        }
    }

    /// <summary>Nanoseconds of CLOCK_MONOTONIC: on Linux Stopwatch has that clock and that unit.</summary>
    public static long Now => Stopwatch.GetTimestamp();

    /// <summary>A futex that cannot be slept on is a bug or a foreign kernel, not an outcome.</summary>
    public static void Check(int futexResult)
    {
        if (futexResult < 0 && (Errno)(-futexResult) is not (Errno.EAGAIN or Errno.EINTR or Errno.ETIMEDOUT))
        {
            throw new SegmentException(SegmentError.KernelRefused, $"Sleeping on a semaphore (futex): {ErrnoText.Describe(futexResult)}. Is its segment still open?");
        }
    }
}
