namespace Rpal.Cli.Torture;

/// <summary>Every wait of the torture by time. None orders anything: what is right is decided by words and events, these only say how often or when.</summary>
internal static class Pace
{
    private const int LookMs = 5, SettleMs = 100;

    /// <summary>Between two looks at something that processes which are killed at any instant cannot announce.</summary>
    public static void BetweenLooks() => Thread.Sleep(LookMs);         // no event: they may die before they would tell

    /// <summary>Between two looks at what only settles slowly: the host's threads and memory, calls that hang.</summary>
    public static void BetweenSlowLooks() => Thread.Sleep(SettleMs);   // no event: the kernel and the runtime tell nobody

    /// <summary>Lets the load run: how long is a choice of the schedule, from the seed where it is random.</summary>
    public static void Run(TimeSpan time) => Thread.Sleep(time);          // the time itself is what is wanted

    /// <inheritdoc cref="Run(TimeSpan)"/>
    public static void Run(int milliseconds) => Thread.Sleep(milliseconds);     // the time itself is what is wanted
}
