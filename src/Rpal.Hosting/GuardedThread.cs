namespace Rpal.Hosting;

/// <summary>Threads of the host's own. An error that nobody expected ends one of them with a line for the operator, and never
/// the host.</summary>
internal static class GuardedThread
{
    /// <param name="name">Names the thread, and the member that it looks after.</param>
    /// <param name="run">What it does.</param>
    /// <param name="notice">Gets the line.</param>
    /// <param name="failed">Releases those who wait for the thread. Not called when it ends as it should.</param>
    /// <returns>The thread, for those who wait for its end.</returns>
    /// <exception cref="OutOfMemoryException">No thread can be started. ThreadStateException says the same.</exception>
    public static Thread Start(string name, Action run, Action<string> notice, Action? failed = null)
    {
        var thread = new Thread(() => Run(name, run, notice, failed)) { IsBackground = true, Name = name };
        thread.Start();
        return thread;
    }

    private static void Run(string name, Action run, Action<string> notice, Action? failed)
    {
        try
        {
            run();
        }
        catch (Exception e)
        {
            TryTo(() =>
                notice($"an error in the host ended its thread '{name}': {e.OneLine()}. That is a fault of Rpal: please report it."));
            TryTo(() => failed?.Invoke());
        }
    }

    /// <summary>Does what may fail when there is nobody else to tell: an observer's code, for example.</summary>
    public static void TryTo(Action act)
    {
        try
        {
            act();
        }
        catch (Exception)
        {
            // there is nobody else to tell
        }
    }
}
