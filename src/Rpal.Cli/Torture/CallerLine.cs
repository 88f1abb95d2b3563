namespace Rpal.Cli.Torture;

/// <summary>The threads of a member that calls: a line for each caller, one stretch of calls after the other, each by a thread of another
/// descent.</summary>
internal static class CallerLine
{
    /// <summary>Runs until the torture is over. What one line throws ends the process.</summary>
    public static async Task RunAsync(CallerRole[] callers)
    {
        Task[] lines = [.. callers.Select(c => Task.Run(() => LoopAsync(c)))];
        await await Task.WhenAny(lines).ConfigureAwait(false);
        await Task.WhenAll(lines).ConfigureAwait(false);
    }

    private static async Task LoopAsync(CallerRole caller)
    {
        while (!caller.IsOver)
        {
            await (caller.NextCarrier() switch
            {
                Carrier.Heir => Carriers.HeirAsync(caller.Stretch),
                Carrier.PoolThread => Carriers.PoolThreadAsync(caller.Stretch),
                Carrier.TimerThread => Carriers.TimerThreadAsync(caller.Stretch),
                _ => ContinuationAsync(caller),
            }).ConfigureAwait(false);
        }
    }

    /// <summary>Calls on whatever thread a connection's coming continues.</summary>
    private static async Task ContinuationAsync(CallerRole caller)
    {
        int callee = caller.NextCallee();
        using var limit = new CancellationTokenSource(CallerRole.ConnectLimit);
        try
        {
            caller.Connected(callee, await RpalConnection.ConnectAsync(TortureMessage.ServiceOf(callee), limit.Token)
                .ConfigureAwait(false));
        }
        catch (OperationCanceledException)
        {
            // it is being started; others are called then
        }

        caller.Stretch();
    }
}
