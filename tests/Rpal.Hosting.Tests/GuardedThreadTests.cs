namespace Rpal.Hosting.Tests;

public sealed class GuardedThreadTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task An_error_in_a_thread_of_the_host_is_told_and_those_who_wait_go_on()
    {
        string? told = null;
        var released = new TaskCompletionSource();
        GuardedThread.Start("watch of a member", static () => throw new ArithmeticException("as told"), text => told = text, released.SetResult);
        await released.Task.WaitAsync(s_patience);
        Assert.Contains("'watch of a member': ArithmeticException: as told", told, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_operator_who_cannot_be_told_changes_nothing()
    {
        var released = new TaskCompletionSource();
        GuardedThread.Start("watch", static () => throw new ArithmeticException(), static _ => throw new IOException(), released.SetResult);
        await released.Task.WaitAsync(s_patience);
    }
}
