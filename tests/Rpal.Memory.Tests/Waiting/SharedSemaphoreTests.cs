using System.Diagnostics;
using Rpal.Memory.Segments;
using Rpal.Memory.Waiting;

namespace Rpal.Memory.Tests.Waiting;

public sealed unsafe class SharedSemaphoreTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    [Fact]
    public void Tokens_are_taken_one_by_one_and_no_more_than_there_are()
    {
        using var segment = Segment.Create(Segment.LeastBytes);
        SharedSemaphore s = SharedSemaphore.Create(segment, initial: 1);
        Assert.Equal(WaitStatus.Acquired, s.TryWait());
        Assert.Equal(WaitStatus.TimedOut, s.TryWait());
        Assert.Equal(ReleaseStatus.Released, s.Release(2));
        Assert.Equal(2u, s.Count);
        Assert.Equal(WaitStatus.Acquired, s.Wait(TimeSpan.Zero));
        Assert.Equal(WaitStatus.Acquired, s.Wait(s_patience));
        Assert.Equal(WaitStatus.TimedOut, s.Wait(TimeSpan.FromMilliseconds(5)));
        Assert.Equal(0ul, s.Block->State);
    }

    [Fact]
    public void A_release_beyond_the_limit_changes_nothing()
    {
        using var segment = Segment.Create(Segment.LeastBytes);
        SharedSemaphore s = SharedSemaphore.Create(segment, initial: 2, limit: 3);
        Assert.Equal(ReleaseStatus.Overflow, s.Release(2));
        Assert.Equal(ReleaseStatus.Released, s.Release());
        Assert.Equal(ReleaseStatus.Overflow, s.Release());
        Assert.Equal(ReleaseStatus.Overflow, s.Release(int.MaxValue));
        Assert.Equal(3u, s.Count);
        Assert.Throws<ArgumentOutOfRangeException>(() => s.Release(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => SharedSemaphore.Create(segment, 2, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => SharedSemaphore.Create(segment, 0, 0));
    }

    [Fact]
    public void Refused_arguments_take_no_room()
    {
        using var segment = Segment.Create(Segment.LeastBytes);
        for (int i = 0; i < 10; i++)
        {
            Assert.Throws<ArgumentOutOfRangeException>(() => SharedSemaphore.CreateMany(segment, 4, initial: 5, limit: 3));
        }

        Assert.Equal(0, segment.PartCount);
        Part all = segment.AddBytes(segment.LengthBytes - Segment.HeaderBytes);
        Assert.True(all.Bytes.IndexOfAnyExcept((byte)0) < 0);
    }

    [Fact]
    public void A_count_above_the_limit_is_corrupt_and_counted()
    {
        using var segment = Segment.Create(Segment.LeastBytes);
        SharedSemaphore s = SharedSemaphore.Create(segment, limit: 3);
        s.Block->Count = 4;
        Assert.Equal(WaitStatus.Corrupt, s.TryWait());
        Assert.Equal(WaitStatus.Corrupt, s.Wait(s_patience));
        Assert.Equal(ReleaseStatus.Corrupt, s.Release());
        Assert.Equal(4u, s.Count);
        Assert.Equal(3, s.CorruptCount);
        s.Block->Links[0] = ulong.MaxValue;
        (s.Block->Count, s.Block->LinkMask) = (0, 1);
        Assert.Equal(ReleaseStatus.Released, s.Release());
        Assert.Equal(4, s.CorruptCount);
    }

    [Fact]
    public void What_is_no_semaphore_is_not_opened()
    {
        using var segment = Segment.Create(Segment.LeastBytes);
        SharedSemaphore.CreateMany(segment, 3);
        segment.Add(PartKind.Bytes, 100);
        SharedSemaphore.Open(segment, 0, 2);
        foreach ((int part, int index) in new[] { (0, 3), (0, -1), (1, 0), (2, 0), (-1, 0) })
        {
            Assert.Equal(SegmentError.NoSuchPart, Assert.Throws<SegmentException>(() => SharedSemaphore.Open(segment, part, index)).Error);
        }

        SharedSemaphore.Open(segment, 0, 1).Block->Limit = uint.MaxValue;
        Assert.Equal(SegmentError.NoSuchPart, Assert.Throws<SegmentException>(() => SharedSemaphore.Open(segment, 0, 1)).Error);
    }

    [Fact]
    public void Sleepers_are_woken_as_many_as_tokens_are_released()
    {
        using var segment = Segment.Create(Segment.LeastBytes);
        SharedSemaphore s = SharedSemaphore.Create(segment);
        int taken = 0;
        TestThread[] threads = [.. Enumerable.Range(0, 6).Select(_ => TestThread.Start(() =>
        {
            if (s.Wait(s_patience) == WaitStatus.Acquired)
            {
                Interlocked.Increment(ref taken);
            }
        }))];
        WaitUntil(() => s.Block->Waiting == 1);
        s.Release(2);
        WaitUntil(() => Volatile.Read(ref taken) == 2);
        Thread.Sleep(20);
        Assert.Equal(2, Volatile.Read(ref taken));
        s.Release(4);
        Array.ForEach(threads, t => t.Join(PeerProcess.Patience));
        Assert.Equal(6, taken);
        Assert.Equal(0ul, s.Block->State);
    }

    [Fact]
    public void A_cancelled_wait_takes_nothing()
    {
        using var segment = Segment.Create(Segment.LeastBytes);
        SharedSemaphore s = SharedSemaphore.Create(segment);
        using var source = new CancellationTokenSource(30);
        Assert.Throws<OperationCanceledException>(() => s.Wait(source.Token));
        Assert.Throws<OperationCanceledException>(() => s.Wait(source.Token));
        Assert.Throws<OperationCanceledException>(() => SharedSemaphore.WaitAny([s, s], Timeout.InfiniteTimeSpan, out _, source.Token));
        Assert.Equal(0ul, s.Block->State);
        Assert.Throws<ArgumentOutOfRangeException>(() => s.Wait(TimeSpan.FromSeconds(-2)));
    }

    [Fact]
    public void Any_of_a_few_is_waited_for_across_segments_in_turns()
    {
        using var one = Segment.Create(Segment.LeastBytes);
        using var two = Segment.Create(Segment.LeastBytes);
        SharedSemaphore[] all = [.. SharedSemaphore.CreateMany(one, 64), .. SharedSemaphore.CreateMany(two, 64)];
        Assert.Equal(WaitStatus.TimedOut, SharedSemaphore.WaitAny(all, TimeSpan.FromMilliseconds(5), out int index));
        Assert.Equal(-1, index);
        foreach (int i in new[] { 0, 64, 127 })
        {
            TestThread releaser = TestThread.Start(() =>
            {
                WaitUntil(() => all[i].Block->Waiting != 0);
                all[i].Release();
            });
            Assert.Equal(WaitStatus.Acquired, SharedSemaphore.WaitAny(all, s_patience, out index));
            Assert.Equal(i, index);
            releaser.Join(PeerProcess.Patience);
        }

        all[3].Release(5);
        all[70].Release(5);
        int[] took = [.. Enumerable.Range(0, 10).Select(_ => SharedSemaphore.WaitAny(all, TimeSpan.Zero, out int i) == WaitStatus.Acquired ? i : -1)];
        Assert.All(took.Chunk(2), pair => Assert.Equal([3, 70], pair.Order()));
        Assert.All(all, s => Assert.Equal(0ul, s.Block->State));
        Assert.Throws<ArgumentException>(() => SharedSemaphore.WaitAny([.. all, all[0]], TimeSpan.Zero, out _));
        Assert.Throws<ArgumentException>(() => SharedSemaphore.WaitAny([], TimeSpan.Zero, out _));
    }

    /// <summary>A waiter for both that was woken by one and takes from the other passes the first wake-up on.</summary>
    [Fact]
    public void A_wake_up_that_a_waiter_for_any_does_not_use_reaches_another()
    {
        using var segment = Segment.Create(Segment.LeastBytes);
        SharedSemaphore[] s = SharedSemaphore.CreateMany(segment, 2);
        int rounds = Long.Choose(300, 20_000), taken = 0;
        TestThread[] threads =
        [
            .. Enumerable.Range(0, 2).Select(_ => TestThread.Start(() => Take(() => SharedSemaphore.WaitAny(s, s_patience, out int _)))),
            .. s.Select(one => TestThread.Start(() => Take(() => one.Wait(s_patience)))),
        ];
        for (int i = 0; i < rounds; i++)
        {
            int before = Volatile.Read(ref taken);
            s[0].Release();
            s[1].Release();
            WaitUntil(() => Volatile.Read(ref taken) == before + 2);
        }

        s[0].Release(2);
        s[1].Release(2);
        foreach (TestThread t in threads)
        {
            for (long until = Environment.TickCount64 + 60_000; !t.TryJoin(TimeSpan.FromMilliseconds(20)) && Environment.TickCount64 < until;)
            {
                s[0].Release();
                s[1].Release();
            }
        }

        Assert.All(threads, t => Assert.False(t.IsAlive));

        void Take(Func<WaitStatus> wait)
        {
            while (Volatile.Read(ref taken) < 2 * rounds)
            {
                Assert.Equal(WaitStatus.Acquired, wait());
                Interlocked.Increment(ref taken);
            }
        }
    }

    internal static void WaitUntil(Func<bool> condition)
    {
        for (long began = Stopwatch.GetTimestamp(); !condition(); Thread.Yield())
        {
            Assert.True(Stopwatch.GetElapsedTime(began) < s_patience, "it did not happen");
        }
    }
}
