using Rpal.Hosting.Loading;

namespace Rpal.Hosting.Tests.Loading;

public sealed class AwaitedChildrenTests
{
    private const int Pid = 7;
    private readonly AwaitedChildren _children = new();

    [Fact]
    public void A_number_that_another_start_has_got_meanwhile_stays_awaited()
    {
        Assert.Equal(Pid, _children.Start(() => Pid));           // reaped, and before that is said here
        Assert.Equal(Pid, _children.Start(() => Pid));           // the number is another start's
        _children.Forget(Pid);
        Assert.False(Reaps());
        _children.Forget(Pid);
        Assert.True(Reaps());
    }

    [Fact]
    public void A_failed_start_is_awaited_by_nobody()
    {
        Assert.Equal(-11, _children.Start(() => -11));
        Assert.True(_children.ReapUnlessAwaited(-11, static () => { }));
    }

    [Fact]
    public async Task Nobody_starts_a_child_between_the_look_and_the_reaping()
    {
        using ManualResetEventSlim isStarting = new();
        Task<int>? start = null;
        Assert.True(_children.ReapUnlessAwaited(Pid, () =>
        {
            start = Task.Run(() =>
            {
                isStarting.Set();
                return _children.Start(() => Pid);
            });
            Assert.True(isStarting.Wait(TimeSpan.FromSeconds(60)));
            Assert.False(start.IsCompleted);
        }));
        Assert.Equal(Pid, await start!.WaitAsync(TimeSpan.FromSeconds(60)));
        Assert.False(Reaps());
    }

    private bool Reaps()
    {
        bool reaped = false;
        bool nobodys = _children.ReapUnlessAwaited(Pid, () => reaped = true);
        Assert.Equal(nobodys, reaped);
        return nobodys;
    }
}
