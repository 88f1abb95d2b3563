using Rpal.Memory.Segments;
using Rpal.Memory.Waiting;

namespace Rpal.Memory.Tests.Waiting;

public sealed unsafe class SemaphoreSetTests
{
    private const int Many = 1000;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    [Fact]
    public void Members_have_their_turns()
    {
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore[] s = SharedSemaphore.CreateMany(segment, Many);
        using SemaphoreSet set = SetOf(segment, s);
        int[] ready = [0, 1, 63, 64, 500, 999];
        foreach (int i in ready)
        {
            s[i].Release(10);
        }

        Assert.Equal(Enumerable.Repeat(ready, 10).SelectMany(r => r), Enumerable.Range(0, 60).Select(_ => Take(set, s)));
        Assert.Equal(WaitStatus.TimedOut, set.WaitAny(TimeSpan.FromMilliseconds(5), out SharedSemaphore? none));
        Assert.Null(none);
    }

    [Fact]
    public void What_was_released_before_it_was_added_is_found_and_what_was_removed_is_not()
    {
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore[] s = SharedSemaphore.CreateMany(segment, 2);
        s[0].Release();
        using SemaphoreSet set = SetOf(segment, s);
        Assert.Equal(0, Take(set, s));
        s[0].Release();
        s[1].Release();
        Assert.True(set.Remove(s[0]));
        Assert.False(set.Remove(s[0]));
        Assert.Equal(1, Take(set, s));
        Assert.Equal(WaitStatus.TimedOut, set.TryWaitAny(out _));
        Assert.Equal((0u, 1u), (s[0].Block->LinkMask, s[1].Block->LinkMask));
        set.Add(s[0]);
        set.Add(s[0]);
        Assert.Equal(2, set.Count);
        Assert.Equal(0, Take(set, s));
    }

    [Fact]
    public void Limits_are_said()
    {
        using var segment = Segment.Create(1 << 20);
        using var elsewhere = Segment.Create(1 << 20);
        SharedSemaphore[] s = SharedSemaphore.CreateMany(segment, 65);
        int part = SemaphoreSet.CreateSeats(segment, SharedSemaphore.SetsLimit + 1, 64);
        SemaphoreSet[] sets = [.. Enumerable.Range(0, SharedSemaphore.SetsLimit + 1).Select(_ => SemaphoreSet.Join(segment, part))];
        Assert.Equal(SegmentError.Full, Assert.Throws<SegmentException>(() => SemaphoreSet.Join(segment, part)).Error);
        Array.ForEach(s[..64], sets[0].Add);
        Assert.Contains("64 members", Assert.Throws<SegmentException>(() => sets[0].Add(s[64])).Message);
        Array.ForEach(sets[..^1], set => set.Add(s[0]));
        Assert.Contains("14 sets", Assert.Throws<SegmentException>(() => sets[^1].Add(s[0])).Message);
        Assert.Throws<ArgumentException>(() => sets[0].Add(SharedSemaphore.Create(elsewhere)));
        Assert.Equal(SegmentError.NoSuchPart, Assert.Throws<SegmentException>(() => SemaphoreSet.Join(segment, 0)).Error);
        Array.ForEach(sets, set => set.Dispose());
        Assert.All(s, one => Assert.Equal(0u, one.Block->LinkMask));
        SemaphoreSet.Join(segment, part).Dispose();
    }

    /// <summary>A set with a signal takes two places of each member, its own and the bridge's.</summary>
    [Fact]
    public void A_member_without_a_place_for_the_signal_is_left_out()
    {
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore[] s = SharedSemaphore.CreateMany(segment, 3);
        SemaphoreSet[] others = SetsBut(segment, 1, out SemaphoreSet set);
        Array.ForEach(others, other => other.Add(s[1]));          // leaves one place: the set's own
        set.Add(s[0]);
        Assert.False(set.EventFd.IsInvalid);
        uint before = s[1].Block->LinkMask;
        Assert.Equal(SegmentError.Full, Assert.Throws<SegmentException>(() => set.Add(s[1])).Error);
        Assert.Equal((1, before), (set.Count, s[1].Block->LinkMask));
        s[1].Release();
        Assert.Equal(WaitStatus.TimedOut, set.TryWaitAny(out _));
        Assert.False(set.Remove(s[1]));
        others[0].Dispose();
        set.Add(s[1]);
        Assert.Same(s[1], Any(set));
        s[0].Release();
        Assert.Same(s[0], Any(set));
        Array.ForEach(others, other => other.Dispose());
        set.Dispose();
        AssertUnlinked(s);
    }

    [Fact]
    public void A_count_that_makes_no_sense_is_told_once_and_passed_over()
    {
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore[] s = SharedSemaphore.CreateMany(segment, 2);
        using SemaphoreSet set = SetOf(segment, s);
        s[0].Block->Count = uint.MaxValue;
        Assert.Equal(WaitStatus.Corrupt, set.TryWaitAny(out SharedSemaphore? which));
        Assert.Same(s[0], which);
        Assert.Equal(WaitStatus.TimedOut, set.TryWaitAny(out _));
        s[1].Release();
        Assert.Equal(1, Take(set, s));
    }

    [Fact]
    public void Two_threads_on_one_set_are_refused()
    {
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore[] s = SharedSemaphore.CreateMany(segment, 1);
        using SemaphoreSet set = SetOf(segment, s);
        TestThread waiter = TestThread.Start(() => Assert.Equal(WaitStatus.Acquired, set.WaitAny(s_patience, out _)));
        Part seats = segment.Find(1, PartKind.SemaphoreSet);
        SharedSemaphoreTests.WaitUntil(() => SetGeometry.Read(seats)!.SeatAt(0)->Parked == 1);
        Assert.Throws<InvalidOperationException>(() => set.WaitAny(s_patience, out _));
        s[0].Release();
        waiter.Join(PeerProcess.Patience);
        using var source = new CancellationTokenSource(30);
        Assert.Throws<OperationCanceledException>(() => set.WaitAny(Timeout.InfiniteTimeSpan, out _, source.Token));
    }

    /// <summary>A releaser died between the count and the bell. Others keep the waiter so busy that it never sleeps.</summary>
    [Fact]
    public void What_a_dead_releaser_did_not_ring_for_is_found_also_by_a_busy_waiter()
    {
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore[] s = SharedSemaphore.CreateMany(segment, 3);
        using SemaphoreSet set = SetOf(segment, s);
        s[0].Release();
        Assert.Equal(0, Take(set, s));
        using var doomed = PeerProcess.StartDoomed((int)KillPoint.ReleaseCounted, 1, "sem-move", "1");
        doomed.Send(segment);
        doomed.WaitFor("ready");
        SharedSemaphoreTests.WaitUntil(() => s[0].Block->Waiting != 0);
        s[0].Release();                                          // the doomed one's, for which it gives one of the next
        Assert.Equal(137, doomed.WaitForExit(PeerProcess.Patience));
        SharedSemaphoreTests.WaitUntil(() =>
        {
            s[2].Release();
            return Take(set, s) == 1;
        });
    }

    [Fact]
    public void Disposing_ends_the_wait_and_closing_the_segment_disposes()
    {
        var segment = Segment.Create(1 << 20);
        SharedSemaphore[] s = SharedSemaphore.CreateMany(segment, 1);
        SemaphoreSet set = SetOf(segment, s, seats: 2);
        SetGeometry seats = SetGeometry.Read(segment.Find(1, PartKind.SemaphoreSet))!;
        TestThread waiter = TestThread.Start(() => Assert.Throws<ObjectDisposedException>(() => set.WaitAny(Timeout.InfiniteTimeSpan, out _)));
        SharedSemaphoreTests.WaitUntil(() => seats.SeatAt(0)->Parked == 1);
        set.Dispose();
        waiter.Join(PeerProcess.Patience);
        Assert.Equal((0u, 0u, 0u), (seats.SeatAt(0)->Owner, seats.SeatAt(0)->Parked, s[0].Block->LinkMask));
        SemaphoreSet open = SemaphoreSet.Join(segment, 1);
        waiter = TestThread.Start(() => Assert.Throws<ObjectDisposedException>(() => open.WaitAny(Timeout.InfiniteTimeSpan, out _)));
        SharedSemaphoreTests.WaitUntil(() => seats.SeatAt(0)->Parked == 1);
        segment.Dispose();
        waiter.Join(PeerProcess.Patience);
        Assert.Throws<ObjectDisposedException>(() => open.TryWaitAny(out _));
        open.Dispose();
    }

    /// <summary>Another thread takes the bells away, one token, and goes: the sleeper gets the other.</summary>
    [Fact]
    public void What_another_threads_look_leaves_reaches_the_sleeper()
    {
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore[] s = SharedSemaphore.CreateMany(segment, 2);
        using SemaphoreSet set = SetOf(segment, s);
        for (int round = 0; round < Long.Choose(300, 100_000); round++)
        {
            int taken = 0;
            TestThread waiter = TestThread.Start(() => taken = set.WaitAny(s_patience, out _) == WaitStatus.Acquired ? 1 : 0);
            s[0].Release();
            s[1].Release();
            int ours = set.TryWaitAny(out _) == WaitStatus.Acquired ? 1 : 0;
            waiter.Join(PeerProcess.Patience);
            Assert.Equal(1, taken);
            Assert.Equal(2u, (uint)(taken + ours) + s[0].Count + s[1].Count);
            while (set.TryWaitAny(out _) == WaitStatus.Acquired)
            {
            }
        }
    }

    [Fact]
    public void Every_token_of_a_thousand_semaphores_arrives()
    {
        const int feeders = 2;
        int tokens = Long.Choose(100_000, 5_000_000);
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore[] s = SharedSemaphore.CreateMany(segment, Many);
        using SemaphoreSet set = SetOf(segment, s);
        PeerProcess[] peers = [.. Enumerable.Range(0, feeders).Select(i => PeerProcess.Start("set-feed", $"{tokens}", $"{i}"))];
        foreach (PeerProcess p in peers)
        {
            p.Send(segment);
        }

        for (int i = 0; i < feeders * tokens; i++)
        {
            Assert.True(set.WaitAny(s_patience, out _) == WaitStatus.Acquired, $"{i} tokens came");
        }

        Assert.Equal(WaitStatus.TimedOut, set.TryWaitAny(out _));
        Assert.All(peers, p => Assert.Equal(0, p.WaitForExit(PeerProcess.Patience)));
        Assert.All(s, one => Assert.Equal(0u, one.Count));
    }

    [Fact]
    public void Tokens_arrive_while_members_come_and_go()
    {
        const int tokens = 50_000;
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore[] s = SharedSemaphore.CreateMany(segment, 100);
        using SemaphoreSet set = SetOf(segment, s, seats: 3);
        using var churn = PeerProcess.Start("set-churn", "300");
        using var feed = PeerProcess.Start("set-feed", $"{tokens}", "5");
        churn.Send(segment);
        feed.Send(segment);
        using var stop = new CancellationTokenSource();
        TestThread mover = TestThread.Start(() =>
        {
            for (int i = 0; !stop.IsCancellationRequested; i = (i + 1) % s.Length)
            {
                set.Remove(s[i]);
                set.Add(s[i]);
            }
        });
        for (int i = 0; i < tokens; i++)
        {
            Assert.True(set.WaitAny(s_patience, out _) == WaitStatus.Acquired, $"{i} tokens came");
        }

        Assert.Equal(0, churn.WaitForExit(PeerProcess.Patience));
        stop.Cancel();
        mover.Join(PeerProcess.Patience);
        Assert.Equal(WaitStatus.TimedOut, set.TryWaitAny(out _));
        Assert.All(s, one => Assert.Equal((0ul, 1), (one.Block->State, System.Numerics.BitOperations.PopCount(one.Block->LinkMask))));
    }

    [Fact]
    public void A_seat_of_a_dead_process_is_given_to_the_next_without_anybody_sweeping()
    {
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore[] s = SharedSemaphore.CreateMany(segment, 50);
        int part = SemaphoreSet.CreateSeats(segment, 1, 64);
        using var peer = PeerProcess.Start("set-take", "0");
        peer.Send(segment);
        peer.WaitFor("ready");
        Assert.Throws<SegmentException>(() => SemaphoreSet.Join(segment, part));
        Assert.All(s, one => Assert.Equal(1u, one.Block->LinkMask));
        peer.Kill();
        using SemaphoreSet set = SemaphoreSet.Join(segment, part);
        Assert.All(s, one => Assert.Equal(0u, one.Block->LinkMask));
    }

    private static SemaphoreSet SetOf(Segment segment, SharedSemaphore[] semaphores, int seats = 1)
    {
        SemaphoreSet set = SemaphoreSet.Join(segment, SemaphoreSet.CreateSeats(segment, seats, semaphores.Length));
        Array.ForEach(semaphores, set.Add);
        return set;
    }

    /// <summary>A set, and as many others as leave so many of a semaphore's places; and a seat for the bridge.</summary>
    internal static SemaphoreSet[] SetsBut(Segment segment, int places, out SemaphoreSet set)
    {
        int part = SemaphoreSet.CreateSeats(segment, SharedSemaphore.SetsLimit + 2, 64);
        set = SemaphoreSet.Join(segment, part);
        return [.. Enumerable.Range(0, SharedSemaphore.SetsLimit - places).Select(_ => SemaphoreSet.Join(segment, part))];
    }

    internal static uint[] Masks(SharedSemaphore[] semaphores) => [.. semaphores.Select(s => s.Block->LinkMask)];

    internal static void AssertUnlinked(SharedSemaphore[] semaphores)
    {
        Assert.All(Masks(semaphores), mask => Assert.Equal(0u, mask));
        Assert.All(semaphores, s => Assert.True(new ReadOnlySpan<ulong>(s.Block->Links, SharedSemaphore.SetsLimit).IndexOfAnyExcept(0ul) < 0));
    }

    internal static SharedSemaphore? Any(SemaphoreSet set)
    {
        Assert.Equal(WaitStatus.Acquired, set.WaitAny(s_patience, out SharedSemaphore? which));
        return which;
    }

    private static int Take(SemaphoreSet set, SharedSemaphore[] s) =>
        set.WaitAny(s_patience, out SharedSemaphore? which) == WaitStatus.Acquired ? Array.IndexOf(s, which) : -1;
}
