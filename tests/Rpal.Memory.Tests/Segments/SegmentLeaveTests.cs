using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Rpal.Linux;
using Rpal.Memory.Blocks;
using Rpal.Memory.Buffers;
using Rpal.Memory.Parties;
using Rpal.Memory.Segments;
using Rpal.Memory.Tests.Blocks;
using Rpal.Memory.Waiting;

namespace Rpal.Memory.Tests.Segments;

/// <summary>What a process that closes a segment, while threads of it are in the middle of something, leaves to the others: all of it,
/// whole.</summary>
/// <remarks>With RPAL_LONG=1 many more rounds.</remarks>
public sealed unsafe class SegmentLeaveTests
{
    private const long Length = 1 << 20;
    private const int Blocks = 64;

    [Fact]
    public void Closing_while_threads_allocate_and_free_leaves_every_block_to_the_others()
    {
        for (int round = 0; round < Long.Choose(150, 2000); round++)
        {
            using Segment segment = Pools.Make(Blocks, 64, 2, out BlockPool pool);
            var closing = Segment.Open(segment.File);
            BlockPool theirs = BlockPool.Open(closing, 0);
            int begun = 0;
            TestThread[] threads = [.. Enumerable.Range(0, 3).Select(_ =>
                TestThread.Start(() => UseUntilClosed(ref begun, () => AllocateOnce(theirs))))];
            Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref begun) != 0, PeerProcess.Patience));
            Thread.Sleep(round % 4);
            closing.Dispose();
            Array.ForEach(threads, t => t.Join(PeerProcess.Patience));
            Pools.AssertWhole(pool, refusals: true);
            Assert.Equal(0, pool.GetStatistics().Corrupt);
        }
    }

    /// <summary>A lease taken while the segment is closed must not stay: its number is soon another's, who lives.</summary>
    [Theory]
    [InlineData(BufferLevel.Checked, 100)]
    [InlineData(BufferLevel.Guarded, 100)]
    public void Closing_while_a_thread_locks_leaves_the_buffer_free_also_when_its_number_is_taken_again(BufferLevel level, int lengthBytes)
    {
        for (int round = 0; round < Long.Choose(200, 2000); round++)
        {
            using var segment = Segment.Create(Length);
            OwnedBuffer buffer = OwnedBuffer.Create(segment, lengthBytes, new OwnedBufferOptions { Level = level });
            var closing = Segment.Open(segment.File);
            OwnedBuffer theirs = OwnedBuffer.Open(closing, 0);
            int begun = 0;
            TestThread[] threads = [.. Enumerable.Range(0, 2).Select(i =>
                TestThread.Start(() => UseUntilClosed(ref begun, () => LockOnce(theirs, forWriting: i == 0))))];
            Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref begun) != 0, PeerProcess.Patience));
            Party left = closing.Self;
            closing.Dispose();
            using (var again = Segment.Open(segment.File))
            {
                Assert.Equal(left.Number, again.Self.Number);
                OwnedBuffer reopened = OwnedBuffer.Open(again, 0);
                Array.ForEach(threads, t => t.Join(PeerProcess.Patience));
                BufferStatus status = buffer.LockWrite(PeerProcess.Patience, out WriteLease lease);
                Assert.True(status == BufferStatus.Taken, $"Round {round}: {status}, {buffer.DescribeHolder()}.");
                lease.Dispose();
                Assert.Equal(0, reopened.CorruptCount);
            }
        }
    }

    /// <summary>The step that a thread was in the middle of, made when others have gone on.</summary>
    [Fact]
    public void A_late_step_of_a_thread_reaches_nobody_also_when_the_segment_is_opened_again()
    {
        using var segment = Segment.Create(Length);
        Part part = segment.AddBytes(100);
        var closing = Segment.Open(segment.File);
        byte* late = closing.Find(0, PartKind.Bytes).Address;
        closing.Dispose();
        using (var again = Segment.Open(segment.File))
        {
            Assert.NotEqual((nint)late, (nint)again.Find(0, PartKind.Bytes).Address);
            *late = 1;
            Assert.Equal(0, *part.Address);
            Assert.Equal(0, *again.Find(0, PartKind.Bytes).Address);
        }

        GC.KeepAlive(closing);
    }

    [Fact]
    public void Where_a_closed_segment_is_still_referred_to_the_error_says_so()
    {
        var first = Segment.Create(Length);
        using var held = Segment.Open(first.File);
        first.Dispose();
        SegmentException e = Assert.Throws<SegmentException>(() => Segment.Open(held.File, requireSharedAddress: true));
        Assert.Equal(SegmentError.AddressOccupied, e.Error);
        Assert.Contains("this process has closed", e.Message, StringComparison.Ordinal);
        GC.KeepAlive(first);
    }

    [Fact]
    public void Two_threads_can_close_it_at_once()
    {
        for (int round = 0; round < 50; round++)
        {
            using Segment segment = Pools.Make(Blocks, 64, 2, out BlockPool pool);
            var closing = Segment.Open(segment.File);
            _ = BlockPool.Open(closing, 0).TryAllocate(out _);
            Party party = closing.Self;
            TestThread[] closers = [.. Enumerable.Range(0, 2).Select(_ => TestThread.Start(() =>
            {
                closing.Dispose();
                Assert.False(segment.IsAlive(party));            // whichever returns
                Assert.Equal(Blocks, pool.GetStatistics().Free);
            }))];
            Array.ForEach(closers, c => c.Join(PeerProcess.Patience));
            Pools.AssertWhole(pool);
        }
    }

    /// <summary>What threads may be in the middle of, beside uses of what is there: <see cref="SegmentCloseTests"/>.</summary>
    [Fact]
    public void Threads_that_make_open_send_and_wait_meet_nothing_but_the_closing()
    {
        for (int round = 0; round < Long.Choose(40, 1000); round++)
        {
            using var segment = Segment.Create(16 << 20);
            BlockPool.Create(segment, new BlockPoolOptions { BlockCount = Blocks, BlockBytes = 64 });
            OwnedBuffer.Create(segment, 100, new OwnedBufferOptions { Level = BufferLevel.Guarded });
            OwnedBuffer.Create(segment, OwnedBuffer.MoveFromBytes, new OwnedBufferOptions { Level = BufferLevel.Guarded });
            SharedSemaphore.Create(segment);
            int seats = SemaphoreSet.CreateSeats(segment, 8, 64);
            var closing = Segment.Open(segment.File);
            int begun = 0;
            Action[] uses =
            [
                () => closing.Sweep(),
                () => BlockPool.Open(closing, 0),
                () => { _ = closing.PartCount < 60 ? closing.AddBytes(1000) : default; },
                () => LockOnce(OwnedBuffer.Open(closing, 1), forWriting: true),
                () => LockOnce(OwnedBuffer.Open(closing, 2), forWriting: true),
                () =>
                {
                    using SemaphoreSet set = SemaphoreSet.Join(closing, seats);
                    set.Add(SharedSemaphore.Open(closing, 3));
                    _ = set.TryWaitAny(out _);
                },
                () => _ = SharedSemaphore.Open(closing, 3).WaitAsync().AsTask().Wait(1),
                () => SharedSemaphore.Open(closing, 3).EventFd.Dispose(),
                () => _ = closing.OtherParties(),
            ];
            TestThread[] threads = [.. uses.Select(use => TestThread.Start(() => UseUntilClosed(ref begun, use)))];
            Thread.Sleep(round % 8);
            closing.Dispose();
            Array.ForEach(threads, t => t.Join(PeerProcess.Patience));
            Assert.Empty(segment.OtherParties());
            AssertWhole(segment);
            GC.KeepAlive(closing);
        }
    }

    [Fact]
    public void A_segment_that_is_closed_while_it_is_sent_arrives_or_not_and_nothing_else_does()
    {
        for (int round = 0; round < Long.Choose(40, 1000); round++)
        {
            using var segment = Segment.Create(Length);
            ulong id = segment.Id;
            var closing = Segment.Open(segment.File);
            Assert.Equal(0, Sys.SocketPair(SocketDomain.Unix, SocketType.Stream | SocketType.CloseOnExec, out int one, out int other));
            using var far = new SafeFileHandle(other, ownsHandle: true);
            TestThread sender = TestThread.Start(() =>
            {
                using var near = new SafeFileHandle(one, ownsHandle: true);
                int begun = 0;
                UseUntilClosed(ref begun, () => SegmentTransfer.Send(closing, near, PeerProcess.Patience));
            });
            TestThread receiver = TestThread.Start(() =>
            {
                while (TryReceive(far) is { } received)
                {
                    Assert.Equal(id, received.Id);
                    received.Dispose();
                }
            });
            Thread.Sleep(round % 8);
            closing.Dispose();
            sender.Join(PeerProcess.Patience);
            receiver.Join(PeerProcess.Patience);
        }

        static Segment? TryReceive(SafeFileHandle socket)
        {
            try
            {
                return SegmentTransfer.Receive(socket, PeerProcess.Patience);
            }
            catch (SegmentException e) when (e.Message.Contains("has closed the connection", StringComparison.Ordinal))
            {
                return null;
            }
        }
    }

    /// <summary>It looked before, did not come to run for as long as closing waits, and then sleeps at the tombstone.</summary>
    [Fact]
    public void A_thread_that_falls_asleep_only_after_the_closing_is_woken()
    {
        using var segment = Segment.Create(Length);
        var closing = Segment.Open(segment.File);
        SharedSemaphore.Create(segment);
        SharedSemaphore theirs = SharedSemaphore.Open(closing, 0);
        theirs.Announce();
        closing.Dispose();
        TestThread thread = TestThread.Start(() => Assert.Equal(0, Sys.FutexWaitShared(&theirs.Block->Count, 0, -1)));
        thread.Join(PeerProcess.Patience);
        theirs.Withdraw();
    }

    /// <summary>Whatever means guards a buffer, and whether it is open or shut: nothing that a thread could write to is left.</summary>
    [Theory]
    [InlineData(BufferLevel.Checked, 100, false)]
    [InlineData(BufferLevel.Guarded, 100, false)]
    [InlineData(BufferLevel.Guarded, 100, true)]
    [InlineData(BufferLevel.Guarded, OwnedBuffer.MoveFromBytes, false)]
    [InlineData(BufferLevel.Guarded, OwnedBuffer.MoveFromBytes, true)]
    public void No_mapping_of_its_memory_is_left_after_closing(BufferLevel level, int lengthBytes, bool isHeld)
    {
        string name = $"rpal-left-{Guid.NewGuid():N}";
        var segment = Segment.Create(16 << 20, new SegmentOptions { Name = name });
        OwnedBuffer buffer = OwnedBuffer.Create(segment, lengthBytes, new OwnedBufferOptions { Level = level });
        if (isHeld)
        {
            Assert.Equal(BufferStatus.Taken, buffer.TryLockWrite(out _));
        }

        Assert.Contains(name, File.ReadAllText("/proc/self/maps"), StringComparison.Ordinal);
        segment.Dispose();
        Assert.DoesNotContain(name, File.ReadAllText("/proc/self/maps"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(KillPoint.CloseViewed)]
    [InlineData(KillPoint.CloseBuried)]
    [InlineData(KillPoint.CloseRecovered)]
    [InlineData(KillPoint.CloseFreed)]
    internal void A_process_that_is_killed_while_it_closes_loses_nothing(KillPoint point)
    {
        using Segment segment = Make();
        using var peer = PeerProcess.StartDoomed((int)point, 1, "close");
        peer.Send(segment);
        peer.WaitFor("holding as 1");
        Assert.Equal(128 + Signal.SIGKILL, peer.WaitForExit(PeerProcess.Patience));
        Assert.DoesNotContain("closed", peer.ToString(), StringComparison.Ordinal);
        Assert.Equal(point == KillPoint.CloseFreed ? 0 : 1, segment.Sweep());
        AssertWhole(segment);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1000)]
    [InlineData(100_000)]
    [InlineData(10_000_000)]
    public void A_process_that_ends_while_it_closes_loses_nothing(int turns)
    {
        using Segment segment = Make();
        using var peer = PeerProcess.Start("close-and-exit", turns.ToString(CultureInfo.InvariantCulture));
        peer.Send(segment);
        Assert.Equal(0, peer.WaitForExit(PeerProcess.Patience));
        segment.Sweep();
        AssertWhole(segment);
    }

    [Fact]
    public void A_forked_child_that_closes_it_takes_nothing_from_its_parent()
    {
        using Segment segment = Make();
        using var peer = PeerProcess.StartUntiered("close-in-child");
        peer.Send(segment);
        peer.WaitFor("child ended with 0");
        Assert.Single(segment.OtherParties());
        Assert.Equal(0, segment.Sweep());
        Assert.Equal(BufferStatus.HeldByWriter, OwnedBuffer.Open(segment, 1).TryLockWrite(out _));
        peer.Kill();
        Assert.Equal(1, segment.Sweep());
        AssertWhole(segment);
    }

    /// <summary>A child that executes nothing has the whole address space of its parent, but for the page that keeps the lock.</summary>
    /// <param name="isGiven">Whether it has that page too, which nobody does: then this test sees it.</param>
    [Theory]
    [InlineData("", false)]
    [InlineData("given", true)]
    public void A_forked_child_without_descriptors_does_not_keep_its_dead_parent_alive(string given, bool isGiven)
    {
        using Segment segment = Make();
        using var peer = PeerProcess.StartUntiered("fork-and-stay", given);
        peer.Send(segment);
        int child = int.Parse(peer.WaitFor("child ").Split(' ')[1], CultureInfo.InvariantCulture);
        try
        {
            Party parent = Assert.Single(segment.OtherParties());
            peer.Kill();
            Assert.Equal(isGiven, segment.IsAlive(parent));
            Assert.Equal(0, Sys.Kill(child, 0));                 // it is there all the time
            Assert.Equal(isGiven ? 0 : 1, segment.Sweep());
        }
        finally
        {
            _ = Sys.Kill(child, Signal.SIGKILL);
        }
    }

    /// <summary>They are told by the collector's thread, where an exception would end the process.</summary>
    [Fact]
    public void Users_that_fail_when_memory_that_was_kept_is_gone_harm_neither_each_other_nor_the_process()
    {
        using var peer = PeerProcess.StartSteady("close-kept");
        Assert.True(peer.WaitForExit(PeerProcess.Patience) == 0, peer.ToString());
        Assert.Contains("told", peer.ToString(), StringComparison.Ordinal);
        Assert.Contains("a user of it failed at that", peer.ToString(), StringComparison.Ordinal);
    }

    /// <summary>The second view and the tombstone need a mapping each, for a moment.</summary>
    /// <param name="mappings">That the process can still make.</param>
    /// <param name="isLeft">Whether what it held is left to others, as by a death.</param>
    /// <param name="isAlive">Whether it still has it, because its threads can reach the memory.</param>
    [Theory]
    [InlineData(2, false, false)]
    [InlineData(1, true, false)]
    [InlineData(0, false, true)]
    public void Without_room_for_a_mapping_nothing_is_given_back_that_a_thread_could_reach(int mappings, bool isLeft, bool isAlive)
    {
        using Segment segment = Make();
        using var peer = PeerProcess.StartSteady("close-at-limit", mappings.ToString(CultureInfo.InvariantCulture));
        peer.Send(segment);
        peer.WaitFor("closed");
        Assert.Equal(isAlive, segment.OtherParties().Count == 1);
        Assert.Equal(isAlive, peer.ToString().Contains("stays held until nothing here refers", StringComparison.Ordinal));
        Assert.Equal(isLeft ? 1 : 0, segment.Sweep());
        if (isAlive)
        {
            Assert.Equal(BufferStatus.HeldByWriter, OwnedBuffer.Open(segment, 1).TryLockWrite(out _));
            peer.Kill();
            Assert.Equal(1, segment.Sweep());
        }

        AssertWhole(segment);
    }

    [Fact]
    public void It_is_closed_also_when_a_user_of_it_fails_at_that()
    {
        using Segment segment = Make();
        var closing = Segment.Open(segment.File);
        _ = BlockPool.Open(closing, 0).TryAllocate(out _);
        Party left = closing.Self;
        Failing first = new("first"), second = new("second");
        closing.Attach(first);
        closing.Attach(second);
        Assert.Equal("first is closing", Assert.Throws<InvalidOperationException>(closing.Dispose).Message);
        Assert.Equal((3, 3), (first.Steps, second.Steps));
        Assert.False(segment.IsAlive(left));
        Assert.Throws<ObjectDisposedException>(() => _ = *closing.Address);
        AssertWhole(segment);
        closing.Dispose();
    }

    [Fact]
    public void A_process_without_descriptors_closes_it()
    {
        using Segment segment = Make();
        using var peer = PeerProcess.StartLimited(200, "close-without-descriptors");
        peer.Send(segment);
        peer.WaitFor("closed");
        Assert.Empty(segment.OtherParties());
        AssertWhole(segment);
    }

    /// <summary>The other process needs the right to lock memory without a limit.</summary>
    [NeedsRootFact]
    public void A_process_that_locks_all_its_memory_closes_a_segment_without_new_memory()
    {
        using var peer = PeerProcess.Start("close-locked", $"{512 << 20}");
        string line = peer.WaitFor("grown by");
        Assert.InRange(int.Parse(line.Split(' ')[2], CultureInfo.InvariantCulture), int.MinValue, 128 << 10);
    }

    /// <summary>The number of a descriptor that its user closed is another file's soon.</summary>
    [Fact]
    public void Another_file_with_its_descriptors_number_is_not_touched()
    {
        using Segment segment = Make();
        var closing = Segment.Open(segment.File);
        Assert.Equal(BlockStatus.Done, BlockPool.Open(closing, 0).TryAllocate(out _));
        int number = (int)closing.File.DangerousGetHandle();
        closing.File.Dispose();
        using var foreign = new SafeFileHandle(Sys.MemfdCreate("rpal-foreign"u8, MemfdFlags.CloseOnExec), ownsHandle: true);
        Assert.Equal(number, (int)foreign.DangerousGetHandle());
        Assert.Equal(0, Sys.Ftruncate(number, Length));
        closing.Dispose();
        var bytes = new byte[Length];
        Assert.Equal(Length, RandomAccess.Read(foreign, bytes, 0));
        Assert.Equal(-1, bytes.AsSpan().IndexOfAnyExcept((byte)0));
        Assert.Equal(1, segment.Sweep());
        AssertWhole(segment);
    }

    /// <summary>Part 0 a pool, 1 a buffer, 2 a semaphore, 3 seats: see CloseRoles.</summary>
    private static Segment Make()
    {
        Segment segment = Segment.Create(Length);
        BlockPool.Create(segment, new BlockPoolOptions { BlockCount = Blocks, BlockBytes = 64, Caches = 2 });
        OwnedBuffer.Create(segment, 100);
        SharedSemaphore.Create(segment);
        SemaphoreSet.CreateSeats(segment, 1, 64);
        return segment;
    }

    /// <summary>All that a segment has is free, for the only party that is left.</summary>
    private static void AssertWhole(Segment segment)
    {
        for (int i = 0; i < segment.PartCount; i++)
        {
            Assert.True(segment.TryFind(i, out Part part));
            switch (part.Kind)
            {
                case PartKind.BlockPool:
                    Pools.AssertWhole(BlockPool.Open(segment, i), refusals: true);
                    break;
                case PartKind.OwnedBuffer:
                    OwnedBuffer buffer = OwnedBuffer.Open(segment, i);
                    BufferStatus status = buffer.TryLockWrite(out WriteLease lease);
                    Assert.True(status == BufferStatus.Taken, $"Part {i}: {status}, {buffer.DescribeHolder()}.");
                    lease.Dispose();
                    break;
                case PartKind.Semaphore:
                    SharedSemaphore semaphore = SharedSemaphore.Open(segment, i);
                    Assert.Equal((0u, 0u), (semaphore.Block->Waiting, semaphore.Block->LinkMask));
                    break;
                case PartKind.SemaphoreSet:
                    uint seats = ((SemaphoreSetBlock*)part.Address)->SeatCount;
                    List<SemaphoreSet> sets = [.. Enumerable.Range(0, (int)seats).Select(_ => SemaphoreSet.Join(segment, i))];
                    sets.ForEach(s => s.Dispose());
                    break;
                default:
                    break;
            }
        }
    }

    private static void AllocateOnce(BlockPool pool)
    {
        if (pool.TryAllocate(out Block block) == BlockStatus.Done)
        {
            pool.Free(block);
        }
    }

    private static void LockOnce(OwnedBuffer buffer, bool forWriting)
    {
        if (forWriting)
        {
            _ = buffer.TryLockWrite(out WriteLease lease);
            lease.Dispose();
        }
        else
        {
            _ = buffer.TryLockRead(out ReadLease lease);
            lease.Dispose();
        }
    }

    private static void UseUntilClosed(ref int begun, Action use)
    {
        try
        {
            while (true)
            {
                use();
                Volatile.Write(ref begun, 1);
            }
        }
        catch (ObjectDisposedException)
        {
            // closed
        }
        catch (AggregateException e) when (e.InnerException is ObjectDisposedException)
        {
            // closed, as a task says it
        }
    }

    /// <summary>Fails at every step of the closing.</summary>
    private sealed class Failing(string name) : ISegmentUser
    {
        public int Steps { get; private set; }

        void ISegmentUser.OnClosing() => Fail("is closing");

        void ISegmentUser.OnClosed() => Fail("is closed");

        void ISegmentUser.OnGone() => Fail("is gone");

        private void Fail(string step)
        {
            Steps++;
            throw new InvalidOperationException($"{name} {step}");
        }
    }
}
