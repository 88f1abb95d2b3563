using Rpal.Hosting.Broker;
using Rpal.Linux;

namespace Rpal.Hosting.Tests.Broker;

/// <summary>Contexts of a kernel that gives numbers at the test's wish, and whose io_destroy waits as long as it wants.</summary>
public sealed class AioContextsTests : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(60);
    private readonly Queue<nint> _numbers = new();
    private readonly List<nint> _destroyed = [];
    private readonly ManualResetEventSlim _isDestroying = new(), _mayEnd = new();
    private nint _waitsFor = -1;

    public void Dispose()
    {
        _isDestroying.Dispose();
        _mayEnd.Dispose();
    }

    [Fact]
    public async Task A_members_requests_under_way_hold_up_no_other_member()
    {
        AioContexts contexts = Contexts(0x1000, 0x2000);
        Assert.Equal(0x1000, Create(contexts, slot: 1));
        contexts.Leaving(0x1000);
        _waitsFor = 0x1000;
        Task end = Task.Run(() => contexts.DestroyOf(1));
        Assert.True(_isDestroying.Wait(s_limit));
        Assert.Equal(0x2000, await Task.Run(() => Create(contexts, slot: 2)).WaitAsync(s_limit));
        await Task.Run(() => contexts.DestroyOf(2)).WaitAsync(s_limit);
        Assert.False(end.IsCompleted);
        _mayEnd.Set();
        await end.WaitAsync(s_limit);
        Assert.Equal([0x2000, 0x1000], _destroyed);
    }

    [Fact]
    public async Task A_number_that_is_being_destroyed_is_given_to_nobody()
    {
        AioContexts contexts = Contexts(0x1000, 0x1000, 0x1000, 0x3000, 0x1000);
        Assert.Equal(0x1000, Create(contexts, slot: 1));
        contexts.Leaving(0x1000);
        _waitsFor = 0x1000;
        Task end = Task.Run(() => contexts.DestroyOf(1));
        Assert.True(_isDestroying.Wait(s_limit));
        _waitsFor = -1;                                          // what was made with that number has no requests
        Assert.Equal(0x3000, await Task.Run(() => Create(contexts, slot: 2)).WaitAsync(s_limit));
        Assert.Equal([0x1000, 0x1000], _destroyed);
        _mayEnd.Set();
        await end.WaitAsync(s_limit);
        Assert.Equal(0x1000, Create(contexts, slot: 2));
        contexts.DestroyOf(2);
        Assert.Equal([0x3000, 0x1000], _destroyed[3..].OrderDescending());
    }

    [Fact]
    public void A_number_that_its_member_has_given_back_is_the_next_ones()
    {
        AioContexts contexts = Contexts(0x1000, 0x1000);
        Assert.Equal(0x1000, Create(contexts, slot: 1));
        contexts.Leaving(0x1000);
        Assert.Equal(0x1000, Create(contexts, slot: 2));
        contexts.DestroyOf(1);
        Assert.Empty(_destroyed);
        contexts.DestroyOf(2);
        Assert.Equal([0x1000], _destroyed);
    }

    private AioContexts Contexts(params nint[] numbers)
    {
        foreach (nint number in numbers)
        {
            _numbers.Enqueue(number);
        }

        return new AioContexts
        {
            Setup = (uint _, out nint context) => (context = _numbers.TryDequeue(out nint next) ? next : 0) == 0 ? -(int)Errno.EAGAIN : 0,
            Destroy = context =>
            {
                if (context == _waitsFor)
                {
                    _isDestroying.Set();
                    Assert.True(_mayEnd.Wait(s_limit));
                }

                lock (_destroyed)
                {
                    _destroyed.Add(context);
                }

                return 0;
            },
        };
    }

    private static unsafe nint Create(AioContexts contexts, int slot)
    {
        nint result = 0;
        Assert.Equal(0, contexts.Create(slot, 8, (nint)(&result)));
        return result;
    }
}
