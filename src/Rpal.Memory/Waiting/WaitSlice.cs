using System.Diagnostics;
using Rpal.Linux;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Waiting;

/// <summary>How long a sleep lasts at most before the sleeper looks by itself.</summary>
/// <remarks>
/// Nobody can wake for a process that was killed between changing a count and waking, or between being woken and taking: the kernel knows nothing of
/// it. Such a wake-up is given back by whoever clears the dead process away, or by this, whichever comes first.
/// </remarks>
internal static class WaitSlice
{
    /// <summary>A wake-up that died with its process is made good within this time.</summary>
    public const long AloneNs = 250_000_000;

    /// <summary>How often a sleeper looks at its cancellation token.</summary>
    public const long CancellationNs = 20_000_000;

    /// <summary>Where there is no futex_waitv.</summary>
    public const long PollNs = 1_000_000;

    /// <summary>For documentation: see <see cref="AloneNs"/>.</summary>
    public static TimeSpan Alone => TimeSpan.FromTicks(AloneNs / 100);

    public static long Of(CancellationToken cancellationToken) => cancellationToken.CanBeCanceled ? CancellationNs : AloneNs;

    /// <summary>The instant (<see cref="Now"/>) at which a timeout is over; <see cref="long.MaxValue"/> never.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Negative, and not <see cref="Timeout.InfiniteTimeSpan"/>.</exception>
    public static long Until(TimeSpan timeout)
    {
        if (timeout == Timeout.InfiniteTimeSpan)
        {
            return long.MaxValue;
        }

        ArgumentOutOfRangeException.ThrowIfLessThan(timeout, TimeSpan.Zero);
        long now = Now;
        return timeout.Ticks > (long.MaxValue - now) / 100 ? long.MaxValue : now + timeout.Ticks * 100;
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
