using System.Diagnostics;

namespace Rpal;

/// <summary>How long a call may wait for a receiver to be ready.</summary>
/// <remarks>
/// It bounds the wait, not the handler: the handler reads and writes the caller's own memory, so a call that has begun is
/// never abandoned. A handler that blocks, blocks its caller; if its process dies, the caller gets <see cref="CallStatus.PeerDied"/>.
/// <para><c>default</c> is <see cref="Immediate"/>.</para></remarks>
public readonly record struct Deadline
{
    // >= 0: stopwatch ticks from the call; < 0: ~timestamp
    private readonly long _ticks;

    private Deadline(long ticks) => _ticks = ticks;

    /// <summary>No waiting: busy at once.</summary>
    public static Deadline Immediate => default;

    /// <summary>Waits without bound, until a receiver is ready or the service is gone.</summary>
    public static Deadline Never => new(long.MaxValue);

    /// <summary>So long, counted from each call that it is given to.</summary>
    /// <param name="milliseconds">0 or more.</param>
    /// <exception cref="ArgumentOutOfRangeException">Negative, or not a number.</exception>
    public static Deadline After(double milliseconds)
    {
        if (!(milliseconds >= 0))
        {
            throw new ArgumentOutOfRangeException(nameof(milliseconds), milliseconds, $"A deadline takes 0 or more milliseconds, and this is {milliseconds}.");
        }

        double ticks = milliseconds / 1000 * Stopwatch.Frequency;
        return new(ticks >= long.MaxValue ? long.MaxValue : (long)ticks);
    }

    /// <summary>So long, counted from each call that it is given to.</summary>
    /// <param name="time">0 or more.</param>
    /// <exception cref="ArgumentOutOfRangeException">Negative.</exception>
    public static Deadline After(TimeSpan time) => After(NotNegative(time, nameof(time)).TotalMilliseconds);

    /// <summary>One moment for several calls together.</summary>
    /// <param name="fromNow">0 or more, counted from now.</param>
    /// <exception cref="ArgumentOutOfRangeException">Negative.</exception>
    public static Deadline At(TimeSpan fromNow)
    {
        long ticks = After(NotNegative(fromNow, nameof(fromNow)).TotalMilliseconds)._ticks, now = Stopwatch.GetTimestamp();
        return new(~(ticks > long.MaxValue - now ? long.MaxValue : now + ticks));
    }

    private static TimeSpan NotNegative(TimeSpan time, string parameter) => time >= TimeSpan.Zero ? time
        : throw new ArgumentOutOfRangeException(parameter, time, $"A deadline takes a time of 0 or more, and this is {time}.");

    /// <summary>The moment as a <see cref="Stopwatch"/> timestamp, for a call that begins now.</summary>
    internal long ToTimestamp()
    {
        long now = Stopwatch.GetTimestamp();
        return _ticks < 0 ? ~_ticks : _ticks > long.MaxValue - now ? long.MaxValue : now + _ticks;
    }
}
