using Rpal.Memory.Buffers;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Tests.Buffers;

/// <summary>A process dies at each step of the protocol. The buffer is then free or held by the living, and torn exactly when a writer died inside.</summary>
public sealed class BufferKillTests
{
    public static TheoryData<int, string, bool, BufferLevel> Deaths() => new()
    {
        { (int)KillPoint.BufferSeatClaimed, "read", false, BufferLevel.Checked },
        { (int)KillPoint.BufferReadTaken, "read", false, BufferLevel.Checked },
        { (int)KillPoint.BufferReadReleased, "read", false, BufferLevel.Checked },
        { (int)KillPoint.BufferWriteTaken, "write:3", true, BufferLevel.Checked },
        { (int)KillPoint.BufferHalfWritten, "write:3", true, BufferLevel.Checked },
        { (int)KillPoint.BufferWritten, "write:3", true, BufferLevel.Checked },
        { (int)KillPoint.BufferWriteReleased, "write:3", false, BufferLevel.Checked },
        { (int)KillPoint.BufferHandingOver, "handover:0", true, BufferLevel.Checked },
        { (int)KillPoint.BufferGuardOpened, "read", false, BufferLevel.Guarded },
        { (int)KillPoint.BufferGuardOpened, "write:3", true, BufferLevel.Guarded },
        { (int)KillPoint.BufferGuardClosed, "read", false, BufferLevel.Guarded },
        { (int)KillPoint.BufferGuardClosed, "write:3", false, BufferLevel.Guarded },
    };

    [Theory]
    [MemberData(nameof(Deaths))]
    public void A_dead_holder_loses_it_to_whoever_waits(int point, string step, bool torn, BufferLevel level)
    {
        using var segment = Segment.Create(1 << 20);
        OwnedBuffer buffer = OwnedBuffer.Create(segment, 40_000, new OwnedBufferOptions { Level = level });
        using (var peer = PeerProcess.StartDoomed(point, 1, "buffer-steps", step))
        {
            peer.Send(segment);
            peer.WaitFor("open");
            peer.WaitForExit(PeerProcess.Patience);
        }

        Assert.Equal(BufferStatus.Taken, buffer.LockWrite(PeerProcess.Patience, out WriteLease lease));
        Assert.Equal(torn, lease.IsTorn);
        lease.Dispose();
        AssertFree(segment, buffer);
        Assert.False(buffer.IsTorn);
    }

    [Fact]
    public void A_poller_that_never_waits_gets_it_too()
    {
        using var segment = Segment.Create(1 << 20);
        OwnedBuffer buffer = OwnedBuffer.Create(segment, 40_000);
        using (var peer = PeerProcess.Start("buffer-steps", "hold-write"))
        {
            peer.Send(segment);
            peer.WaitFor("hold-write: Taken");
            Assert.Equal(BufferStatus.HeldByWriter, buffer.TryLockRead(out _));
            peer.Kill();
        }

        ReadLease lease;
        long until = Environment.TickCount64 + (long)PeerProcess.Patience.TotalMilliseconds;
        while (buffer.TryLockRead(out lease) != BufferStatus.Taken)
        {
            Assert.True(Environment.TickCount64 < until);
            Thread.Sleep(1);
        }

        Assert.True(lease.IsTorn);
        lease.Dispose();
    }

    [Fact]
    public void What_a_dead_process_handed_over_arrives()
    {
        using var segment = Segment.Create(1 << 20);
        OwnedBuffer buffer = OwnedBuffer.Create(segment, 40_000);
        using var peer = PeerProcess.StartDoomed((int)KillPoint.BufferHandedOver, 1, "buffer-steps", "handover:0");
        peer.Send(segment);
        peer.WaitForExit(PeerProcess.Patience);
        Assert.Equal(1, segment.Sweep());
        Assert.Equal(BufferStatus.Taken, buffer.Accept(PeerProcess.Patience, out WriteLease lease));
        Assert.False(lease.IsTorn);
        lease.Dispose();
        AssertFree(segment, buffer);
    }

    [Fact]
    public void A_process_that_dies_after_accepting_leaves_it_torn()
    {
        using var segment = Segment.Create(1 << 20);
        OwnedBuffer buffer = OwnedBuffer.Create(segment, 40_000);
        using var peer = PeerProcess.StartDoomed((int)KillPoint.BufferAccepted, 1, "buffer-steps", "accept:1");
        peer.Send(segment);
        peer.WaitFor("open as 1");
        buffer.TryLockWrite(out WriteLease lease);
        Assert.Equal(BufferStatus.HandedOver, lease.HandOver(segment.Parties.Find(1)!.Value));
        peer.WaitForExit(PeerProcess.Patience);
        Assert.Equal(BufferStatus.Taken, buffer.LockRead(PeerProcess.Patience, out ReadLease read));
        Assert.True(read.IsTorn);
        read.Dispose();
        AssertFree(segment, buffer);
    }

    [Fact]
    public void A_dead_waiter_is_in_nobodys_way()
    {
        using var segment = Segment.Create(1 << 20);
        OwnedBuffer buffer = OwnedBuffer.Create(segment, 40_000);
        buffer.TryLockWrite(out WriteLease lease);
        using var peer = PeerProcess.StartDoomed((int)KillPoint.BufferWaiting, 2, "buffer-steps", "write:1");
        peer.Send(segment);
        peer.WaitForExit(PeerProcess.Patience);
        Assert.Equal(BufferStatus.Released, lease.Unlock());
        Assert.Equal(BufferStatus.Taken, buffer.TryLockWrite(out lease));
        Assert.False(lease.IsTorn);
        lease.Dispose();
        AssertFree(segment, buffer);
    }

    [Theory]
    [InlineData("hold-read", false)]
    [InlineData("hold-write", true)]
    public void A_recoverer_that_dies_half_way_is_followed_by_the_next(string step, bool torn)
    {
        using var segment = Segment.Create(1 << 20);
        OwnedBuffer buffer = OwnedBuffer.Create(segment, 40_000);
        using var holder = PeerProcess.Start("buffer-steps", step);
        holder.Send(segment);
        holder.WaitFor($"{step}: Taken");
        using var recoverer = PeerProcess.StartDoomed((int)KillPoint.BufferRecovering, 1, "buffer-steps", "sweep");
        recoverer.Send(segment);
        recoverer.WaitFor("open as 2");
        holder.Kill();
        recoverer.WaitForExit(PeerProcess.Patience);
        _ = segment.Sweep();
        Assert.Equal(torn, buffer.IsTorn);
        AssertFree(segment, buffer);
        Assert.Equal(BufferStatus.Taken, buffer.TryLockWrite(out WriteLease lease));
        lease.Dispose();
    }

    internal static void AssertFree(Segment segment, OwnedBuffer buffer)
    {
        _ = segment.Sweep();
        Assert.True(buffer.Lock.Word.IsFree, $"0x{buffer.Lock.Word.Value:x}");
        for (int seat = 0; seat < OwnedBuffer.ReaderCapacity; seat++)
        {
            Assert.Equal(0ul, buffer.Lock.SeatOwner(seat));
        }

        Assert.Equal(0, buffer.CorruptCount);
    }
}
