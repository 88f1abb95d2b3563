using System.Reflection;
using Rpal.Linux;
using Rpal.Memory.Segments;
using Rpal.Memory.Waiting;

namespace Rpal.Memory.Tests.Waiting;

/// <summary>A thread that is stopped in the middle of a wait: nobody waits for it for ever, and nothing is given away that it still uses.</summary>
/// <remarks>In a family one thread of a process can be stopped alone: it may be another member's.</remarks>
public sealed unsafe class StoppedWaiterTests
{
    private const long Length = 1 << 20;

    [Fact]
    public void A_set_whose_waiter_is_stopped_is_disposed_of_and_keeps_its_seat_until_the_waiter_leaves()
    {
        using var segment = Segment.Create(Length);
        SemaphoreSet set = SetIn(segment, segment, out SharedSemaphore member, out int part, out SeatBlock* seat);
        set.BeginWait();
        TestThread.Start(set.Dispose).Join(PeerProcess.Patience);
        Assert.Equal((uint)segment.Self.Number + 1, seat->Owner);
        Assert.Equal(SegmentError.Full, Assert.Throws<SegmentException>(() => SemaphoreSet.Join(segment, part)).Error);
        AssertWoken(seat);
        set.EndWait();
        SharedSemaphoreTests.WaitUntil(() => Volatile.Read(ref seat->Owner) == 0);
        Assert.Equal(0u, member.Block->LinkMask);
        SemaphoreSet.Join(segment, part).Dispose();
    }

    [Fact]
    public void A_segment_with_a_stopped_waiter_is_closed_and_what_the_waiter_sleeps_on_stays_until_it_leaves()
    {
        using var segment = Segment.Create(Length);
        var closing = Segment.Open(segment.File);
        SemaphoreSet set = SetIn(segment, closing, out SharedSemaphore member, out int part, out SeatBlock* seat);
        set.BeginWait();
        TestThread.Start(closing.Dispose).Join(PeerProcess.Patience);
        Assert.Empty(segment.OtherParties());
        SemaphoreSet.Join(segment, part).Dispose();
        AssertWoken(seat);
        set.EndWait();
        Assert.Throws<ObjectDisposedException>(() => set.TryWaitAny(out _));
        GC.KeepAlive(member);
    }

    [Fact]
    public void A_thread_that_is_stopped_with_a_sets_members_holds_up_neither_its_end_nor_other_sets()
    {
        using var segment = Segment.Create(Length);
        int part = SemaphoreSet.CreateSeats(segment, 2, 64);
        SetSeat seat = SetSeat.Claim(segment, part);
        SeatBlock* block = SetGeometry.Read(segment.Find(part, PartKind.SemaphoreSet))!.SeatAt(0);
        using var go = new ManualResetEventSlim();
        TestThread stopped = StopWith(seat.Members, go);
        TestThread.Start(() => seat.Leave(static () => true)).Join(PeerProcess.Patience);
        Assert.NotEqual(0u, block->Owner);
        SemaphoreSet.Join(segment, part).Dispose();
        go.Set();
        stopped.Join(PeerProcess.Patience);
        SharedSemaphoreTests.WaitUntil(() => Volatile.Read(ref block->Owner) == 0);
    }

    [Fact]
    public void A_thread_that_is_stopped_in_the_bridge_holds_up_no_closing_and_waits_end_when_it_goes_on()
    {
        using var segment = Segment.Create(Length);
        SharedSemaphore.Create(segment);
        _ = SemaphoreSet.CreateSeats(segment, 1, 64);
        var closing = Segment.Open(segment.File);
        Task<WaitStatus> wait = SharedSemaphore.Open(closing, 0).WaitAsync().AsTask();
        FieldInfo field = typeof(WaitBridge).GetField("_lock", BindingFlags.NonPublic | BindingFlags.Instance)!;
        using var go = new ManualResetEventSlim();
        TestThread stopped = StopWith((Lock)field.GetValue(SegmentWaits.Of(closing).Bridge())!, go);
        TestThread.Start(closing.Dispose).Join(PeerProcess.Patience);
        Assert.Empty(segment.OtherParties());
        Assert.False(wait.IsCompleted);
        go.Set();
        stopped.Join(PeerProcess.Patience);
        Assert.True(SpinWait.SpinUntil(() => wait.IsFaulted, PeerProcess.Patience));
        Assert.IsType<ObjectDisposedException>(wait.Exception!.InnerException);
    }

    /// <summary>A set in one process's view of a segment, with one member.</summary>
    private static SemaphoreSet SetIn(Segment segment, Segment view, out SharedSemaphore member, out int part, out SeatBlock* seat)
    {
        SharedSemaphore.Create(segment);
        part = SemaphoreSet.CreateSeats(segment, 1, 64);
        member = SharedSemaphore.Open(view, 0);
        SemaphoreSet set = SemaphoreSet.Join(view, part);
        set.Add(member);
        seat = SetGeometry.Read(view.Find(part, PartKind.SemaphoreSet))!.SeatAt(0);
        return set;
    }

    private static TestThread StopWith(Lock held, ManualResetEventSlim go)
    {
        using var has = new ManualResetEventSlim();
        TestThread stopped = TestThread.Start(() =>
        {
            lock (held)
            {
                has.Set();
                Assert.True(go.Wait(PeerProcess.Patience));
            }
        });
        Assert.True(has.Wait(PeerProcess.Patience));
        return stopped;
    }

    /// <summary>The waiter goes on, and parks: it had looked before.</summary>
    private static void AssertWoken(SeatBlock* seat) => TestThread.Start(() =>
    {
        Volatile.Write(ref seat->Parked, 1);
        Assert.True(Sys.FutexWaitShared(&seat->Parked, 1, -1) is 0 or -(int)Errno.EAGAIN);
    }).Join(PeerProcess.Patience);
}
