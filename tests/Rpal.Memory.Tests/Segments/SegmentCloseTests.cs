using System.Runtime.CompilerServices;
using Rpal.Linux;
using Rpal.Memory.Blocks;
using Rpal.Memory.Buffers;
using Rpal.Memory.Parties;
using Rpal.Memory.PerCpu;
using Rpal.Memory.Segments;
using Rpal.Memory.Waiting;

namespace Rpal.Memory.Tests.Segments;

/// <summary>Closing a segment in a process that uses it: an <see cref="ObjectDisposedException"/> wherever it is met, and never a fault.</summary>
public sealed unsafe class SegmentCloseTests
{
    private const long Length = 1 << 20;

    [Fact]
    public void Every_use_after_closing_says_so()
    {
        var segment = Segment.Create(Length);
        Part part = segment.AddBytes(100);
        BlockPool pool = BlockPool.Create(segment, new BlockPoolOptions { BlockCount = 8, BlockBytes = 64 });
        OwnedBuffer buffer = OwnedBuffer.Create(segment, 100);
        SharedSemaphore semaphore = SharedSemaphore.Create(segment, 1);
        int seats = SemaphoreSet.CreateSeats(segment, 2, 64);
        SemaphoreSet set = SemaphoreSet.Join(segment, seats);
        set.Add(semaphore);
        PerCpuCounter counter = PerCpuCounter.Create(segment);
        segment.Dispose();
        segment.Dispose();
        Action[] uses =
        [
            () => _ = *segment.Address, () => _ = segment.Id, () => _ = segment.IsAtSharedAddress, () => _ = segment.PartCount, () => segment.Find(0, PartKind.Bytes), () => segment.AddBytes(1),
            () => segment.Sweep(), () => segment.OtherParties(), () => segment.Describe(segment.Self), () => segment.IsAlive(segment.Self), () => part.Bytes.Clear(), () => _ = *part.Address,
            () => pool.TryAllocate(out _), () => BlockPool.Open(segment, 1), () => buffer.TryLockRead(out _), () => buffer.TryLockWrite(out _), () => buffer.TryAccept(out _),
            () => buffer.LockWrite(TimeSpan.FromSeconds(1), out _), () => _ = buffer.IsTorn, () => buffer.DescribeHolder(), () => OwnedBuffer.Open(segment, 2), () => semaphore.Release(), () => semaphore.TryWait(),
            () => semaphore.Wait(TimeSpan.FromSeconds(1)), () => _ = semaphore.Count, () => semaphore.WaitAsync().AsTask().Wait(0), () => _ = semaphore.EventFd, () => SharedSemaphore.Open(segment, 3),
            () => SharedSemaphore.WaitAny([semaphore], TimeSpan.FromSeconds(1), out _), () => set.TryWaitAny(out _), () => set.Add(semaphore), () => SemaphoreSet.Join(segment, seats), () => counter.Sum(),
        ];
        for (int i = 0; i < uses.Length; i++)
        {
            Exception? e = Record.Exception(uses[i]);
            Assert.True(e is ObjectDisposedException, $"use {i}: {e?.ToString() ?? "nothing"}");
        }

        counter.Add(1);                                          // counts nothing, harms nobody
        set.Dispose();
    }

    [Fact]
    public void Threads_that_wait_in_it_are_sent_away()
    {
        using var segment = Segment.Create(Length);
        using var other = Segment.Open(segment.File);
        SharedSemaphore semaphore = SharedSemaphore.Create(segment);
        OwnedBuffer theirs = OwnedBuffer.Create(segment, 100), buffer = OwnedBuffer.Open(other, 1);
        SharedSemaphore mine = SharedSemaphore.Open(other, 0);
        Assert.Equal(BufferStatus.Taken, theirs.TryLockWrite(out WriteLease lease));
        TestThread[] threads =
        [
            TestThread.Start(() => Assert.Throws<ObjectDisposedException>(() => mine.Wait(CancellationToken.None))),
            TestThread.Start(() => Assert.Throws<ObjectDisposedException>(() => mine.Wait(PeerProcess.Patience * 10))),
            TestThread.Start(() => Assert.Throws<ObjectDisposedException>(() => SharedSemaphore.WaitAny([mine], Timeout.InfiniteTimeSpan, out _))),
            TestThread.Start(() => Assert.Throws<ObjectDisposedException>(() => buffer.LockRead(PeerProcess.Patience * 10, out _))),
        ];
        Assert.True(SpinWait.SpinUntil(() => semaphore.Block->State >> SemaphoreBlock.CountBits != 0, PeerProcess.Patience));
        other.Dispose();
        Array.ForEach(threads, t => t.Join(PeerProcess.Patience));
        Assert.Equal(0ul, semaphore.Block->State >> SemaphoreBlock.CountBits);
        lease.Unlock();
        semaphore.Release();
        Assert.Equal(WaitStatus.Acquired, semaphore.TryWait());
    }

    [Fact]
    public void A_lease_that_is_held_at_the_closing_is_ended_by_it_and_torn()
    {
        using var segment = Segment.Create(Length);
        using var other = Segment.Open(segment.File);
        OwnedBuffer buffer = OwnedBuffer.Create(segment, 100), theirs = OwnedBuffer.Open(other, 0);
        Assert.Equal(BufferStatus.Taken, theirs.TryLockWrite(out WriteLease lease));
        other.Dispose();
        Assert.Equal(0, lease.Bytes.Length);
        lease.Dispose();
        Assert.Equal(BufferStatus.Taken, buffer.TryLockWrite(out WriteLease again));
        Assert.True(again.IsTorn);
        again.Dispose();
    }

    [Fact]
    public void Threads_in_the_middle_of_something_meet_no_fault()
    {
        for (int round = 0; round < 50; round++)
        {
            var segment = Segment.Create(Length);
            BlockPool pool = BlockPool.Create(segment, new BlockPoolOptions { BlockCount = 64, BlockBytes = 64 });
            OwnedBuffer buffer = OwnedBuffer.Create(segment, 100);
            SharedSemaphore semaphore = SharedSemaphore.Create(segment);
            int seats = SemaphoreSet.CreateSeats(segment, 2, 64);
            SemaphoreSet set = SemaphoreSet.Join(segment, seats);
            set.Add(semaphore);
            PerCpuCounter counter = PerCpuCounter.Create(segment);
            int begun = 0;
            Action[] uses =
            [
                () => pool.Free(pool.TryAllocate(out Block b) == BlockStatus.Done ? b : default),
                () => { _ = buffer.TryLockWrite(out WriteLease lease); lease.Dispose(); },
                () => { semaphore.Release(); set.TryWaitAny(out _); },
                () => { counter.Add(1); _ = counter.Sum(); },
            ];
            TestThread[] threads = [.. uses.Select(use => TestThread.Start(() => Assert.Throws<ObjectDisposedException>(() => UseForEver(use))))];
            Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref begun) > 0, PeerProcess.Patience));
            segment.Dispose();
            Array.ForEach(threads, t => t.Join(PeerProcess.Patience));

            void UseForEver(Action use)
            {
                while (true)
                {
                    use();
                    Volatile.Write(ref begun, 1);
                }
            }
        }
    }

    [Fact]
    public void Its_addresses_can_be_had_again_when_nothing_refers_to_it_and_go_then()
    {
        using Segment held = OpenAndCloseTheFirst(out long address);
        using (var again = Segment.Open(held.File, requireSharedAddress: true))
        {
            Assert.Equal(address, (long)again.Address);
        }

        long gone = CloseOne();
        for (int i = 0; i < 20 && IsMapped(gone); i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        Assert.False(IsMapped(gone));

        [MethodImpl(MethodImplOptions.NoInlining)]
        static Segment OpenAndCloseTheFirst(out long address)
        {
            using var first = Segment.Create(Length);
            address = (long)first.Address;
            return Segment.Open(first.File);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        static long CloseOne()
        {
            using var segment = Segment.Create(Length);
            return (long)segment.Address;
        }

        static bool IsMapped(long at) => File.ReadLines("/proc/self/maps").Any(l => l.StartsWith($"{at:x}-", StringComparison.Ordinal));
    }

    [Fact]
    public void Where_another_does_not_come_to_an_end_with_recovery_closing_leaves_the_rest_to_whoever_comes()
    {
        using var segment = Segment.Create(Length);
        using var other = Segment.Open(segment.File);
        OwnedBuffer buffer = OwnedBuffer.Create(segment, 100), theirs = OwnedBuffer.Open(other, 0);
        theirs.TryLockWrite(out _);
        Party party = other.Self;
        int stuck = Sys.Open($"/proc/self/fd/{segment.File.DangerousGetHandle()}", OpenFlags.ReadWrite | OpenFlags.CloseOnExec);
        Assert.Equal(0, Sys.LockByte(stuck, PartyTable.LockBase + PartyTable.Capacity));
        other.Dispose();
        Assert.False(segment.IsAlive(party));
        _ = Sys.Close(stuck);
        Assert.Equal(1, segment.Sweep());
        Assert.Equal(BufferStatus.Taken, buffer.TryLockWrite(out WriteLease lease));
        Assert.True(lease.IsTorn);
        lease.Dispose();
    }
}
