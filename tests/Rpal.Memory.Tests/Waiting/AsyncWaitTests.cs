using Microsoft.Win32.SafeHandles;
using Rpal.Linux;
using Rpal.Memory.Segments;
using Rpal.Memory.Waiting;

namespace Rpal.Memory.Tests.Waiting;

public sealed class AsyncWaitTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task Thousands_wait_without_a_thread_each_and_each_token_ends_one_wait()
    {
        const int semaphores = 100, each = 50;
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore[] s = Semaphores(segment, semaphores);
        int threads = Threads();
        Task<WaitStatus>[] waits = [.. Enumerable.Range(0, semaphores * each).Select(i => s[i % semaphores].WaitAsync().AsTask())];
        Assert.InRange(Threads(), 1, threads + 20);               // the bridge, and what the thread pool likes; of earlier tests' threads some may end meanwhile
        Assert.DoesNotContain(waits, w => w.IsCompleted);
        using var feed = PeerProcess.Start("set-feed", "1000", "7");
        feed.Send(segment);
        Assert.Equal(0, feed.WaitForExit(PeerProcess.Patience));
        await Until(() => waits.Count(w => w.IsCompletedSuccessfully) + s.Sum(x => x.Count) == 1000);
        foreach (SharedSemaphore one in s)
        {
            one.Release(each);
        }

        Assert.All(await Task.WhenAll(waits).WaitAsync(s_patience), w => Assert.Equal(WaitStatus.Acquired, w));
        Assert.Equal(1000L, s.Sum(x => x.Count));
        await Until(() => s.All(one => Links(one) == 0));         // nobody waits: releases ring no more
    }

    [Fact]
    public async Task Cancelled_waits_take_nothing_and_the_others_stay()
    {
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore s = Semaphores(segment, 1)[0];
        using var source = new CancellationTokenSource();
        Task<WaitStatus>[] cancelled = [.. Enumerable.Range(0, 500).Select(_ => s.WaitAsync(source.Token).AsTask())];
        Task<WaitStatus> stays = s.WaitAsync().AsTask();
        source.Cancel();
        foreach (Task<WaitStatus> t in cancelled)
        {
            Assert.Equal(source.Token, (await Assert.ThrowsAnyAsync<OperationCanceledException>(() => t)).CancellationToken);
        }

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => s.WaitAsync(source.Token).AsTask());
        Assert.False(stays.IsCompleted);
        s.Release(2);
        Assert.Equal(WaitStatus.Acquired, await stays.WaitAsync(s_patience));
        Assert.Equal(WaitStatus.Acquired, await s.WaitAsync());
        Assert.Equal(0u, s.Count);
    }

    [Fact]
    public async Task Tokens_are_conserved_while_waits_are_cancelled()
    {
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore s = Semaphores(segment, 1)[0];
        int rounds = Long.Choose(3_000, 300_000), taken = 0, released = 0;
        var random = new Random(8);
        for (int i = 0; i < rounds; i++)
        {
            using var source = new CancellationTokenSource();
            Task<WaitStatus> wait = s.WaitAsync(source.Token).AsTask();
            Task cancel = Task.Run(source.Cancel);
            if (random.Next(2) == 0)
            {
                s.Release();
                released++;
            }

            try
            {
                taken += await wait.WaitAsync(s_patience) == WaitStatus.Acquired ? 1 : 0;
            }
            catch (OperationCanceledException)
            {
            }

            await cancel;
        }

        Assert.Equal((uint)(released - taken), s.Count);
    }

    [Fact]
    public async Task An_eventfd_becomes_readable_when_there_may_be_tokens()
    {
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore[] s = Semaphores(segment, 3);
        using SemaphoreSet set = SemaphoreSet.Join(segment, 1);
        set.Add(s[1]);
        SafeFileHandle one = s[0].EventFd, any = set.EventFd;
        set.Add(s[2]);
        Assert.True(Readable(one, 0) && Readable(any, 0));        // at first: look
        Read(one);
        Read(any);
        Assert.False(Readable(one, 20) || Readable(any, 0));
        s[0].Release();
        Assert.True(Readable(one, 60_000));
        Assert.Equal(WaitStatus.Acquired, s[0].TryWait());
        s[2].Release();
        Assert.True(Readable(any, 60_000));
        Assert.Equal(WaitStatus.Acquired, set.TryWaitAny(out SharedSemaphore? which));
        Assert.Same(s[2], which);
        Assert.Same(one, s[0].EventFd);
        await Task.CompletedTask;
    }

    [Fact]
    public async Task A_set_is_waited_for_without_a_thread()
    {
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore[] s = Semaphores(segment, 200);
        using SemaphoreSet set = SemaphoreSet.Join(segment, 1);
        Array.ForEach(s, set.Add);
        using var feed = PeerProcess.Start("set-feed", "5000", "9");
        feed.Send(segment);
        for (int i = 0; i < 5000; i++)
        {
            Assert.Equal(WaitStatus.Acquired, (await set.WaitAnyAsync().AsTask().WaitAsync(s_patience)).Status);
        }

        Assert.All(s, one => Assert.Equal(0u, one.Count));
        using var source = new CancellationTokenSource(30);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => set.WaitAnyAsync(source.Token).AsTask());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_signal_that_finds_no_place_leaves_no_link_behind(bool isAsync)
    {
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore[] s = SharedSemaphore.CreateMany(segment, 3);
        SemaphoreSet[] others = SemaphoreSetTests.SetsBut(segment, 1, out SemaphoreSet set);
        Array.ForEach(others, other => other.Add(s[1]));
        Array.ForEach(s, set.Add);                                // the last place of the middle one
        uint[] before = SemaphoreSetTests.Masks(s);
        for (int i = 0; i < 3; i++)
        {
            SegmentException full = isAsync ? await Assert.ThrowsAsync<SegmentException>(() => set.WaitAnyAsync().AsTask()) : Assert.Throws<SegmentException>(() => set.EventFd);
            Assert.Equal(SegmentError.Full, full.Error);
            Assert.Equal(before, SemaphoreSetTests.Masks(s));
        }

        Assert.Equal(3, set.Count);
        s[1].Release();
        Assert.Same(s[1], SemaphoreSetTests.Any(set));                              // in a thread it can be waited for as before
        others[0].Dispose();
        s[2].Release();
        Assert.Equal((WaitStatus.Acquired, s[2]), await set.WaitAnyAsync().AsTask().WaitAsync(s_patience));
        Array.ForEach(others, other => other.Dispose());
        set.Dispose();
        SemaphoreSetTests.AssertUnlinked(s);
    }

    [Fact]
    public async Task Without_a_seat_it_says_what_to_do_and_closing_ends_waits()
    {
        var segment = Segment.Create(1 << 20);
        SharedSemaphore s = SharedSemaphore.Create(segment);
        Assert.Contains("CreateSeats", (await Assert.ThrowsAsync<SegmentException>(() => s.WaitAsync().AsTask())).Message);
        SemaphoreSet.CreateSeats(segment, 1, 64);
        Task<WaitStatus> wait = s.WaitAsync().AsTask();
        segment.Dispose();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => wait.WaitAsync(s_patience));
    }

    /// <summary>Its first token is waited for asynchronously, of a semaphore and of a set. Nobody sweeps.</summary>
    [Theory]
    [InlineData((int)KillPoint.ReleaseCounted, false)]
    [InlineData((int)KillPoint.ReleaseWoken, false)]
    [InlineData((int)KillPoint.RingBell, false)]
    [InlineData((int)KillPoint.RingSummary, false)]
    [InlineData((int)KillPoint.RingWake, false)]
    [InlineData((int)KillPoint.ReleaseCounted, true)]
    [InlineData((int)KillPoint.ReleaseWoken, true)]
    [InlineData((int)KillPoint.RingBell, true)]
    [InlineData((int)KillPoint.RingSummary, true)]
    [InlineData((int)KillPoint.RingWake, true)]
    public async Task A_killed_releasers_token_ends_a_wait(int point, bool ofSet)
    {
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore[] s = Semaphores(segment, 8);
        using SemaphoreSet set = SemaphoreSet.Join(segment, 1);
        Task<WaitStatus>[] waits;
        if (ofSet)
        {
            Array.ForEach(s, set.Add);
            waits = [Any(set)];
        }
        else
        {
            waits = [.. s.Select(one => one.WaitAsync().AsTask())];
        }

        using var doomed = PeerProcess.StartDoomed(point, 1, point == (int)KillPoint.RingWake ? "set-feed-parked" : "set-feed", "1000000000", "10");
        doomed.Send(segment);
        Assert.Equal(137, doomed.WaitForExit(PeerProcess.Patience));
        Assert.Equal(WaitStatus.Acquired, await (await Task.WhenAny(waits).WaitAsync(s_patience)));
        Assert.Equal(1, segment.Sweep());
        Array.ForEach(s, one => one.Release());                  // so that nobody waits when the segment is closed
        Assert.All(await Task.WhenAll(waits).WaitAsync(s_patience), w => Assert.Equal(WaitStatus.Acquired, w));
    }

    /// <summary>A process that waits asynchronously is killed at a point, or (0) at rest: its links go, and what it did not take is others'.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData((int)KillPoint.SeatClaimed)]
    [InlineData((int)KillPoint.LinkWritten)]
    [InlineData((int)KillPoint.LinkMasked)]
    [InlineData((int)KillPoint.SetParked)]
    [InlineData((int)KillPoint.SetWoken)]
    [InlineData((int)KillPoint.SetBellsTaken)]
    public async Task A_killed_waiter_leaves_the_tokens_to_others(int point)
    {
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore[] s = Semaphores(segment, 8);
        string[] withSet = point == (int)KillPoint.LinkMasked ? [] : ["set"];      // while a set waits too, the links stay
        using var doomed = point == 0 ? PeerProcess.Start("async-take", withSet) : PeerProcess.StartDoomed(point, 1, "async-take", withSet);
        doomed.Send(segment);
        if (point == 0)
        {
            doomed.WaitFor("ready");
            await Until(() => s.All(one => Links(one) != 0));
            doomed.Kill();
        }

        for (int i = 0; !WaitingKillTests.HasExited(doomed) && i < 60_000; i++)
        {
            s[i % s.Length].Release();
            await Task.Delay(1);
        }

        Assert.Equal(137, doomed.WaitForExit(PeerProcess.Patience));
        Assert.Equal(1, segment.Sweep());
        Assert.All(s, one => Assert.Equal(0u, Links(one)));
        long left = s.Sum(one => one.Count);
        using SemaphoreSet set = SemaphoreSet.Join(segment, 1);
        Array.ForEach(s, set.Add);
        for (; left > 0; left--)
        {
            Assert.Equal(WaitStatus.Acquired, await Any(set).WaitAsync(s_patience));
        }

        Assert.Equal(WaitStatus.TimedOut, set.TryWaitAny(out _));
    }

#pragma warning disable CA2012, xUnit1031                        // the misuse is what is tested
    [Fact]
    public async Task A_result_asked_for_twice_is_refused_and_harms_no_other_wait()
    {
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore s = Semaphores(segment, 1)[0];
        ValueTask<WaitStatus> early = s.WaitAsync();
        Assert.Throws<InvalidOperationException>(() => early.GetAwaiter().GetResult());
        s.Release();
        await Until(() => early.IsCompleted);
        Assert.Equal(WaitStatus.Acquired, early.GetAwaiter().GetResult());
        Assert.Throws<InvalidOperationException>(() => early.GetAwaiter().GetResult());
        Task<WaitStatus>[] two = [s.WaitAsync().AsTask(), s.WaitAsync().AsTask()];
        s.Release();
        Assert.Equal(WaitStatus.Acquired, await (await Task.WhenAny(two).WaitAsync(s_patience)));
        Assert.Contains(two, t => !t.IsCompleted);
        s.Release();
        await Task.WhenAll(two).WaitAsync(s_patience);
        Assert.Equal(0u, s.Count);
    }
#pragma warning restore CA2012, xUnit1031

    [Fact]
    public async Task Closing_ends_the_wait_of_a_set()
    {
        var segment = Segment.Create(1 << 20);
        SharedSemaphore[] s = Semaphores(segment, 1);
        SemaphoreSet set = SemaphoreSet.Join(segment, 1);
        set.Add(s[0]);
        Task<WaitStatus> wait = Any(set);
        segment.Dispose();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => wait.WaitAsync(s_patience));
    }

    [Fact]
    public async Task A_closed_eventfd_is_rung_no_more_and_made_anew()
    {
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore s = Semaphores(segment, 1)[0];
        SafeFileHandle one = s.EventFd;
        Assert.Equal(1u, Links(s));
        one.Dispose();
        s.Release();
        await Until(() => Links(s) == 0);
        SafeFileHandle two = s.EventFd;
        Assert.True(Readable(two, 0));
        Read(two);
        Assert.Equal(WaitStatus.Acquired, s.TryWait());
        s.Release();
        Assert.True(Readable(two, 60_000));
    }

    private static async Task<WaitStatus> Any(SemaphoreSet set) => (await set.WaitAnyAsync()).Status;

    private static SharedSemaphore[] Semaphores(Segment segment, int count)
    {
        SharedSemaphore[] s = SharedSemaphore.CreateMany(segment, count);
        Assert.Equal(1, SemaphoreSet.CreateSeats(segment, 3, count));
        return s;
    }

    private static unsafe uint Links(SharedSemaphore s) => Volatile.Read(ref s.Block->LinkMask);

    internal static unsafe bool Readable(SafeFileHandle fd, int timeoutMs)
    {
        PollFd poll = new() { Fd = (int)fd.DangerousGetHandle(), Events = PollEvents.In };
        return Sys.Poll(&poll, 1, timeoutMs) == 1;
    }

    internal static unsafe void Read(SafeFileHandle fd)
    {
        ulong n;
        _ = Sys.Read((int)fd.DangerousGetHandle(), &n, sizeof(ulong));
    }

    private static int Threads() => Directory.GetDirectories("/proc/self/task").Length;

    private static async Task Until(Func<bool> condition)
    {
        for (long until = Environment.TickCount64 + 60_000; !condition(); await Task.Delay(5))
        {
            Assert.True(Environment.TickCount64 < until, "it did not happen");
        }
    }
}
