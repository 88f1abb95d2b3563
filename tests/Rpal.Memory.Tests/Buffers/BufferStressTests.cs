using Rpal.Linux;
using Rpal.Memory.Buffers;
using Rpal.Memory.Segments;
using Rpal.MemoryPeer.Roles;

namespace Rpal.Memory.Tests.Buffers;

/// <summary>Processes that do everything at random. RPAL_LONG=1: a minute each instead of seconds.</summary>
/// <remarks>A process dies at each point in the short form too, and is seen to have died there.</remarks>
public sealed class BufferStressTests
{
    private static readonly bool s_long = Long.IsWanted;

    /// <summary>Doomed processes at a time, beside those that last.</summary>
    private const int GroupSize = 4;

    /// <summary>Of a process that SIGKILL ended.</summary>
    private const int KilledCode = 128 + Signal.SIGKILL;

    private static readonly string s_endless = "1000000000", s_patience = $"{PeerProcess.Patience.TotalMilliseconds}";

    [Theory]
    [InlineData(2, BufferLevel.Checked, 4096)]
    [InlineData(4, BufferLevel.Checked, 4096)]
    [InlineData(3, BufferLevel.Guarded, 64 * 1024)]
    [InlineData(3, BufferLevel.Guarded, 256 * 1024)]
    public void No_reader_sees_a_part_of_a_write_whoever_is_killed_wherever(int processes, BufferLevel level, int length)
    {
        using var segment = Segment.Create(8 << 20);
        OwnedBuffer buffer = OwnedBuffer.Create(segment, length, new OwnedBufferOptions { Level = level });
        Part stop = segment.AddBytes(1);                         // the peers look at it
        List<PeerProcess> lasting = [];
        try
        {
            for (int i = 0; i < processes; i++)
            {
                lasting.Add(PeerProcess.Start("buffer-stress", s_endless, $"{i}"));
                lasting[^1].Send(segment);
            }

            long until = Environment.TickCount64 + (s_long ? 60_000 : 0);
            int round = 0;
            do
            {
                foreach (KillPoint[] group in PointsOf(level).Chunk(GroupSize))
                {
                    KillAt(group, segment, point => CountOf(point, round));
                }

                KillRecoverer(segment);
                round++;
            }
            while (Environment.TickCount64 < until);

            stop.Bytes[0] = 1;
            foreach (PeerProcess peer in lasting)
            {
                Assert.True(peer.WaitForExit(PeerProcess.Patience) == 0, peer.ToString());
                Assert.Contains("0 bad, 0 corrupt", peer.WaitFor("stress ends"));
            }
        }
        finally
        {
            lasting.ForEach(p => p.Dispose());
        }

        // One that was killed may have handed it to one that had left: whoever finds that in the way frees it.
        Assert.Equal(BufferStatus.Taken, buffer.LockRead(PeerProcess.Patience, out ReadLease lease));
        Assert.True(lease.IsTorn || BufferContent.IsWhole(lease.Bytes));
        lease.Dispose();
        BufferKillTests.AssertFree(segment, buffer);
    }

    /// <summary>All but the recoverer's, which <see cref="KillRecoverer"/> sees to. Bytes that are not guarded are neither opened nor closed.</summary>
    private static IEnumerable<KillPoint> PointsOf(BufferLevel level) => Enum.GetValues<KillPoint>().Where(p => p is >= KillPoint.BufferSeatClaimed and <= KillPoint.BufferHalfWritten
        && p != KillPoint.BufferRecovering && (level == BufferLevel.Guarded || p is not (KillPoint.BufferGuardOpened or KillPoint.BufferGuardClosed)));

    /// <summary>Each at a count of its own; what comes seldom, the first time or soon after.</summary>
    private static int CountOf(KillPoint point, int round) =>
        1 + ((int)point + round) * 7 % (point is KillPoint.BufferHandingOver or KillPoint.BufferHandedOver or KillPoint.BufferAccepted ? 3 : 30);

    private static void KillAt(KillPoint[] points, Segment segment, Func<KillPoint, int> countOf)
    {
        List<PeerProcess> doomed = [];
        try
        {
            foreach (KillPoint point in points)
            {
                doomed.Add(PeerProcess.StartDoomed((int)point, countOf(point), "buffer-stress", s_patience, $"{(int)point}"));
                doomed[^1].Send(segment);
            }

            foreach ((KillPoint point, PeerProcess peer) in points.Zip(doomed))
            {
                AssertDiedThere(peer, point);
            }
        }
        finally
        {
            doomed.ForEach(p => p.Dispose());
        }
    }

    /// <summary>Any of those who wait may be the one that recovers: others die inside until it is this one.</summary>
    private static void KillRecoverer(Segment segment)
    {
        _ = segment.Sweep();                                     // else it could die while it opens the segment
        using var recoverer = PeerProcess.StartDoomed((int)KillPoint.BufferRecovering, 1, "buffer-stress", s_patience, "1");
        long until = Environment.TickCount64 + (long)PeerProcess.Patience.TotalMilliseconds;
        recoverer.Send(segment);
        while (!recoverer.HasExited && Environment.TickCount64 < until)
        {
            KillAt([KillPoint.BufferHalfWritten], segment, _ => 1);
        }

        AssertDiedThere(recoverer, KillPoint.BufferRecovering);
    }

    private static void AssertDiedThere(PeerProcess doomed, KillPoint point)
    {
        int code = doomed.WaitForExit(PeerProcess.Patience);
        Assert.True(code == KilledCode, $"It ended with {code}, not at {point}. It printed:\n{doomed}");
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

        peer.WaitForExit(PeerProcess.Patience);
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
