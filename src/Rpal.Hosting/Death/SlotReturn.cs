namespace Rpal.Hosting.Death;

/// <summary>Gives slots back although the host may be out of descriptors or memory just then: it cannot see whether a slot is free.</summary>
internal static class SlotReturn
{
    /// <summary>Between two tries.</summary>
    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(250);

    /// <summary>On the calling thread, for as long as it takes.</summary>
    public static void Await(Family family, int index, Action<string> notice, DeathReport report)
    {
        while (!Try(family, index, notice, report))
        {
            Thread.Sleep(s_pause);                               // until descriptors or memory are free again: nobody tells
        }
    }

    /// <summary>Of a member that never ran, or hardly, so that nothing pins its slot for long: now, or without a thread that waits.</summary>
    public static Task AwaitAsync(Family family, int index, Action<string> notice, DeathReport? report = null)
    {
        return Try(family, index, notice, report) ? Task.CompletedTask : Later();

        async Task Later()
        {
            do
            {
                await Task.Delay(s_pause).ConfigureAwait(false);
            }
            while (!Try(family, index, notice, report));
        }
    }

    private static bool Try(Family family, int index, Action<string> notice, DeathReport? report)
    {
        try
        {
            new SlotReclaim(family, index, notice, report).Run();
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or OutOfMemoryException)
        {
            return false;
        }
    }
}
