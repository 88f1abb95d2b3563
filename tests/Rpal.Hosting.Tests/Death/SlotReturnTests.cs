using Rpal.Hosting.Death;

namespace Rpal.Hosting.Tests.Death;

/// <summary>The host's thread gives a slot back when a start has failed, and has others to look after.</summary>
public sealed class SlotReturnTests
{
    [Fact]
    public async Task A_slot_that_is_pinned_is_looked_at_once_on_the_calling_thread_and_then_later()
    {
        int caller = Environment.CurrentManagedThreadId, looks = 0;
        bool isPinned = true;
        Task returned = SlotReturn.UntilAsync(() =>
        {
            Assert.True(Environment.CurrentManagedThreadId != caller || looks == 0);
            looks++;
            return !Volatile.Read(ref isPinned);
        });
        Assert.Equal(1, looks);
        Assert.False(returned.IsCompleted);
        Volatile.Write(ref isPinned, false);
        await returned.WaitAsync(TimeSpan.FromSeconds(60));
    }

    [Fact]
    public async Task A_host_without_descriptors_tries_again()
    {
        int tries = 0;
        await SlotReturn.UntilAsync(() => ++tries > 1 ? true : throw new IOException("no descriptor")).WaitAsync(TimeSpan.FromSeconds(60));
        Assert.Equal(2, tries);
    }
}
