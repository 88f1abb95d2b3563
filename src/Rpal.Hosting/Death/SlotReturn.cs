namespace Rpal.Hosting.Death;

/// <summary>Gives slots back although the host may be out of descriptors or memory just then: it cannot see whether a slot is free.</summary>
internal static class SlotReturn
{
    /// <summary>Between two tries.</summary>
    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(250);

    /// <summary>On the calling thread, for as long as it takes.</summary>
    public static void Await(Family family, int index, Action<string> notice, DeathReport report)
    {
        var reclaim = new SlotReclaim(family, index, notice, report);
        while (!Try(reclaim.TryAwait))
        {
            Thread.Sleep(s_pause);                               // until descriptors or memory are free again: nobody tells
        }
    }

    /// <summary>Of a member that never ran, or hardly, so that nothing pins its slot for long: one look now, the others later,
    /// and no thread waits.</summary>
    public static Task AwaitAsync(Family family, int index, Action<string> notice, DeathReport? report = null)
    {
        var reclaim = new SlotReclaim(family, index, notice, report);
        return UntilAsync(reclaim.TryOnce);
    }

    /// <summary>Tries once on the calling thread, and then after pauses on no thread of its own.</summary>
    /// <param name="reclaim">Whether it is done.</param>
    public static Task UntilAsync(Func<bool> reclaim)
    {
        return Try(reclaim) ? Task.CompletedTask : Later();

        async Task Later()
        {
            do
            {
                await Task.Delay(s_pause).ConfigureAwait(false);
            }
            while (!Try(reclaim));
        }
    }

    private static bool Try(Func<bool> reclaim)
    {
        try
        {
            return reclaim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or OutOfMemoryException)
        {
            return false;
        }
    }
}
