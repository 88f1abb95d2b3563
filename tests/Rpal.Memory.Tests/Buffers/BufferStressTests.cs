using Rpal.Memory.Buffers;
using Rpal.Memory.Segments;
using Rpal.MemoryPeer.Roles;

namespace Rpal.Memory.Tests.Buffers;

/// <summary>Processes that do everything at random. RPAL_LONG=1: a minute each instead of seconds.</summary>
public sealed class BufferStressTests
{
    private static readonly bool s_long = Environment.GetEnvironmentVariable("RPAL_LONG") == "1";

    [Theory]
    [InlineData(2, BufferLevel.Checked, 4096)]
    [InlineData(4, BufferLevel.Checked, 4096)]
    [InlineData(3, BufferLevel.Guarded, 64 * 1024)]
    [InlineData(3, BufferLevel.Guarded, 256 * 1024)]
    public void No_reader_sees_a_part_of_a_write_whoever_is_killed_wherever(int processes, BufferLevel level, int length)
    {
        using var segment = Segment.Create(8 << 20);
        OwnedBuffer buffer = OwnedBuffer.Create(segment, length, new OwnedBufferOptions { Level = level });
        string time = s_long ? "60000" : "2500";
        List<PeerProcess> lasting = [], doomed = [];
        try
        {
            for (int i = 0; i < processes; i++)
            {
                lasting.Add(PeerProcess.Start("buffer-stress", time, $"{i}"));
                lasting[^1].Send(segment);
            }

            // Each point at a count of its own, a few processes at a time.
            foreach (int point in Enumerable.Range((int)KillPoint.BufferSeatClaimed, KillPoint.BufferHalfWritten - KillPoint.BufferSeatClaimed + 1).Where((_, i) => s_long || i % 2 == processes % 2))
            {
                doomed.Add(PeerProcess.StartDoomed(point, 1 + point * 7 % 30, "buffer-stress", time, $"{point}"));
                doomed[^1].Send(segment);
                if (doomed.Count % 4 == 0)
                {
                    doomed.ForEach(d => d.WaitForExit());
                }
            }

            foreach (PeerProcess peer in lasting)
            {
                Assert.True(peer.WaitForExit() == 0, peer.ToString());
                Assert.Contains("0 bad, 0 corrupt", peer.WaitFor("stress ends"));
            }

            doomed.ForEach(d => Assert.True(d.WaitForExit() != 1, d.ToString()));
        }
        finally
        {
            lasting.ForEach(p => p.Dispose());
            doomed.ForEach(p => p.Dispose());
        }

        BufferKillTests.AssertFree(segment, buffer);
        Assert.Equal(BufferStatus.Taken, buffer.TryLockRead(out ReadLease lease));
        Assert.True(lease.IsTorn || BufferContent.IsWhole(lease.Bytes));
        lease.Dispose();
    }

    [Theory]
    [InlineData(BufferLevel.Checked)]
    [InlineData(BufferLevel.Guarded)]
    public void A_peer_that_writes_over_the_header_gets_nowhere(BufferLevel level)
    {
        using var segment = Segment.Create(1 << 20);
        OwnedBuffer buffer = OwnedBuffer.Create(segment, 40_000, new OwnedBufferOptions { Level = level });
        int time = s_long ? 60_000 : 2_000;
        using var peer = PeerProcess.Start("buffer-hostile", $"{time}");
        peer.Send(segment);
        peer.WaitFor("hostile begins");
        var moment = TimeSpan.FromMilliseconds(3);
        Dictionary<BufferStatus, int> seen = [];
        for (long until = Environment.TickCount64 + time; Environment.TickCount64 < until;)
        {
            Count(buffer.TryLockRead(out ReadLease read));
            read.Dispose();
            Count(buffer.TryLockRead(out read, alone: true));
            read.Dispose();
            Count(buffer.LockRead(moment, out read));
            read.Dispose();
            Count(buffer.TryLockWrite(out WriteLease write));
            write.Bytes.Fill(1);
            Count(write.HandOver(segment.Self, Count));
            Count(buffer.TryAccept(out write));
            write.Dispose();
            Count(buffer.LockWrite(moment, out write));
            write.Bytes.Fill(2);
            write.Dispose();
            Count(buffer.Accept(moment, out write));
            write.Dispose();
            Assert.NotEmpty(buffer.DescribeHolder());
            _ = segment.Sweep();
        }

        peer.WaitForExit();
        Assert.True(buffer.CorruptCount > 0);
        Assert.Contains(BufferStatus.Taken, seen.Keys);

        void Count(BufferStatus status) => seen[status] = seen.GetValueOrDefault(status) + 1;
    }
}

file static class WriteLeaseExtensions
{
    /// <summary>Hands it over if there is a lease.</summary>
    public static BufferStatus HandOver(this ref WriteLease lease, Parties.Party to, Action<BufferStatus> count)
    {
        if (lease.Bytes.IsEmpty)
        {
            return BufferStatus.NotHandedOver;
        }

        BufferStatus status = lease.HandOver(to);
        lease.Dispose();
        count(status);
        return status;
    }
}
