namespace Rpal.Hosting.Supervision;

/// <summary>How long a member that has ended waits for its next start.</summary>
internal static class Backoff
{
    /// <summary>Before the first restart; each further one in a row waits twice as long, up to <see cref="Longest"/>.</summary>
    public static readonly TimeSpan First = TimeSpan.FromMilliseconds(100);

    public static readonly TimeSpan Longest = TimeSpan.FromSeconds(30);

    /// <summary>A run of that length is a good one: the row of restarts ends.</summary>
    public static readonly TimeSpan Healthy = TimeSpan.FromSeconds(10);

    /// <summary>Restarts in a row for a reason that no policy covers, when the member sets no limit of its own.</summary>
    public const int LostLimit = 10;

    /// <param name="attempt">Of the row, from 1.</param>
    public static TimeSpan Delay(int attempt)
    {
        const int doublings = 20;                                // far beyond the longest
        TimeSpan delay = First * (1L << Math.Clamp(attempt - 1, 0, doublings));
        return delay < Longest ? delay : Longest;
    }
}
