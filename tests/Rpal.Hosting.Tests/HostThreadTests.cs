using Rpal.Hosting.Supervision;

namespace Rpal.Hosting.Tests;

public sealed class HostThreadTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task A_host_whose_thread_is_held_up_ends_with_a_line_and_the_rest_is_done_later()
    {
        string? told = null;
        using var held = new ManualResetEventSlim();
        var done = new TaskCompletionSource();
        var thread = new HostThread(text => told = text);
        thread.Post(held.Wait);
        thread.Post(done.SetResult);
        await Task.Run(thread.Dispose).WaitAsync(s_patience);
        Assert.Contains("has not ended within", told, StringComparison.Ordinal);
        held.Set();
        await done.Task.WaitAsync(s_patience);
    }

    [Fact]
    public async Task An_action_that_throws_is_told_and_the_next_one_is_done()
    {
        string? told = null;
        using var thread = new HostThread(text => told = text);
        thread.Post(static () => throw new ArithmeticException("as told"));
        Assert.Equal(3, await thread.AskAsync(static () => 3).WaitAsync(s_patience));
        Assert.Contains("ArithmeticException: as told", told, StringComparison.Ordinal);
    }
}
