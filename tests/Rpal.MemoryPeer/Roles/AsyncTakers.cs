using Rpal.Memory.Segments;
using Rpal.Memory.Waiting;

namespace Rpal.MemoryPeer.Roles;

/// <summary>Tasks that take tokens again and again: one for each semaphore, and, if there is a word, one from a set of all. It is killed.</summary>
internal static class AsyncTakers
{
    public static int Run(Peer peer)
    {
        Segment segment = peer.Receive(requireSharedAddress: false);
        SemaphoreSet set = WaitingRoles.SetOfAll(segment);
        Task[] takers = [.. WaitingRoles.All(segment).Select(TakeAsync), .. peer.Words.Length > 0 ? [TakeAnyAsync(set)] : Array.Empty<Task>()];
        Peer.Say("ready");
        Task.WaitAll(takers);
        return 0;
    }

    private static async Task TakeAsync(SharedSemaphore semaphore)
    {
        while (await semaphore.WaitAsync().ConfigureAwait(false) == WaitStatus.Acquired)
        {
        }
    }

    private static async Task TakeAnyAsync(SemaphoreSet set)
    {
        while ((await set.WaitAnyAsync().ConfigureAwait(false)).Status == WaitStatus.Acquired)
        {
        }
    }
}
