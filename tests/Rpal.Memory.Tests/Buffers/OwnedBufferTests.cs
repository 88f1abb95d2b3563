using Rpal.Memory.Buffers;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Tests.Buffers;

public sealed class OwnedBufferTests
{
    private const int Length = 10_000;

    private static readonly TimeSpan s_moment = TimeSpan.FromMilliseconds(30);

    [Fact]
    public void Readers_share_it_and_a_writer_has_it_alone()
    {
        using var segment = Segment.Create(1 << 20);
        using var other = Segment.Open(segment.File);
        OwnedBuffer mine = OwnedBuffer.Create(segment, Length), theirs = OwnedBuffer.Open(other, mine.PartIndex);
        Assert.Equal("nobody", theirs.DescribeHolder());
        Assert.Equal(BufferStatus.Taken, mine.TryLockWrite(out WriteLease write));
        Assert.Equal(Length, write.Bytes.Length);
        write.Bytes.Fill(7);
        Assert.Equal(BufferStatus.HeldByWriter, theirs.TryLockRead(out ReadLease none));
        Assert.Equal(0, none.Bytes.Length);
        Assert.Equal(BufferStatus.HeldByWriter, theirs.TryLockWrite(out _));
        Assert.Contains($"party 0 (process {Environment.ProcessId}", theirs.DescribeHolder());
        Assert.Contains("writes, thread", theirs.DescribeHolder());
        int version = write.Version;
        Assert.Equal(BufferStatus.Released, write.Unlock());

        Assert.Equal(BufferStatus.Taken, theirs.TryLockRead(out ReadLease first));
        Assert.Equal(BufferStatus.Taken, mine.TryLockRead(out ReadLease second));
        Assert.Equal(-1, first.Bytes.IndexOfAnyExcept((byte)7));
        Assert.False(first.IsTorn);
        Assert.Equal(version, first.Version);
        Assert.Equal(BufferStatus.HeldByReaders, mine.TryLockWrite(out _));
        Assert.Equal(BufferStatus.HeldByReaders, mine.TryLockRead(out _, alone: true));
        Assert.Contains("party 1", mine.DescribeHolder());
        first.Dispose();
        first.Dispose();
        second.Dispose();
        Assert.Equal(BufferStatus.Taken, mine.TryLockRead(out ReadLease alone, alone: true));
        Assert.Equal(BufferStatus.HeldByReaders, theirs.TryLockRead(out _));
        Assert.Contains("alone", theirs.DescribeHolder());
        alone.Dispose();
        Assert.Equal(BufferStatus.Taken, theirs.TryLockWrite(out write));
        write.Dispose();
        Assert.Equal("nobody", mine.DescribeHolder());
        Assert.Equal(0, mine.CorruptCount);
    }

    /// <summary>`using (lease)` disposes of a copy.</summary>
    [Theory]
    [InlineData(BufferLevel.Checked)]
    [InlineData(BufferLevel.Guarded)]
    public void A_lease_ends_once_however_often_it_was_copied(BufferLevel level)
    {
        using var segment = Segment.Create(1 << 20);
        using var other = Segment.Open(segment.File);
        OwnedBuffer mine = OwnedBuffer.Create(segment, Length, new OwnedBufferOptions { Level = level }), theirs = OwnedBuffer.Open(other, mine.PartIndex);
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(BufferStatus.Taken, mine.TryLockWrite(out WriteLease write));
            WriteLease copy = write;
            using (write)
            {
                write.Bytes.Fill((byte)i);
                Assert.Equal(BufferStatus.HandedOver, write.HandOver(other.Self));
            }

            Assert.Equal(0, copy.Bytes.Length);
            Assert.Equal(BufferStatus.Taken, theirs.TryAccept(out WriteLease accepted));
            using (accepted)
            {
                Assert.Equal(i, accepted.Bytes[^1]);
                Assert.Equal(BufferStatus.Released, accepted.Unlock());
            }

            Assert.Equal(BufferStatus.Taken, mine.TryLockRead(out ReadLease read));
            ReadLease again = read;
            using (read)
            {
                Assert.Equal(BufferStatus.Released, read.Unlock());
            }

            Assert.Equal(BufferStatus.Taken, mine.TryLockRead(out read));
            again.Dispose();                                     // of the one before
            Assert.Equal(i, read.Bytes[0]);
            read.Dispose();
            Assert.Equal("nobody", mine.DescribeHolder());
        }

        Assert.Equal(0, mine.CorruptCount + theirs.CorruptCount);
    }

    [Fact]
    public void An_abandoned_buffer_is_torn_until_a_writer_completes()
    {
        using var segment = Segment.Create(1 << 20);
        OwnedBuffer buffer = OwnedBuffer.Create(segment, Length);
        buffer.TryLockWrite(out WriteLease write);
        write.Abandon();
        Assert.True(buffer.IsTorn);
        buffer.TryLockRead(out ReadLease read);
        Assert.True(read.IsTorn);
        read.Dispose();
        buffer.TryLockWrite(out write);
        Assert.True(write.IsTorn);
        write.Dispose();
        buffer.TryLockRead(out read);
        Assert.False(read.IsTorn);
        read.Dispose();
    }

    [Fact]
    public void There_can_be_a_bounded_number_of_readers()
    {
        using var segment = Segment.Create(1 << 20);
        OwnedBuffer buffer = OwnedBuffer.Create(segment, Length);
        List<Take> takes = [];
        for (int i = 0; i < OwnedBuffer.ReaderCapacity; i++)
        {
            Assert.Equal(BufferStatus.Taken, buffer.Lock.Try(LeaseKind.Read, out Take take));
            takes.Add(take);
        }

        Assert.Equal(BufferStatus.TooManyReaders, buffer.TryLockRead(out _));
        Assert.Equal(BufferStatus.Released, buffer.Lock.ReleaseRead(takes[9]));
        Assert.Equal(BufferStatus.Corrupt, buffer.Lock.ReleaseRead(takes[9]));
        Assert.Equal(BufferStatus.Taken, buffer.Lock.Try(LeaseKind.Read, out Take again));
        Assert.Equal(9, again.Seat);
    }

    [Fact]
    public void Waiting_ends_at_the_deadline_and_says_what_is_in_the_way()
    {
        using var segment = Segment.Create(1 << 20);
        OwnedBuffer buffer = OwnedBuffer.Create(segment, Length);
        Assert.Equal(BufferStatus.NotHandedOver, buffer.Accept(s_moment, out _));
        buffer.TryLockWrite(out WriteLease write);
        long begin = Environment.TickCount64;
        Assert.Equal(BufferStatus.HeldByWriter, buffer.LockRead(s_moment, out _));
        Assert.Equal(BufferStatus.HeldByWriter, buffer.LockWrite(s_moment, out _));
        Assert.True(Environment.TickCount64 - begin >= 2 * s_moment.TotalMilliseconds - 2);
        write.Dispose();
        Assert.Throws<OwnedBufferException>(() => buffer.LockRead(Timeout.InfiniteTimeSpan, out _));
        Assert.Throws<OwnedBufferException>(() => buffer.LockRead(TimeSpan.MaxValue, out _));
    }

    [Fact]
    public void Handing_over_leaves_no_gap_for_others()
    {
        using var segment = Segment.Create(1 << 20);
        using var other = Segment.Open(segment.File);
        OwnedBuffer mine = OwnedBuffer.Create(segment, Length), theirs = OwnedBuffer.Open(other, mine.PartIndex);
        Assert.Equal(BufferStatus.NotHandedOver, theirs.TryAccept(out _));
        mine.TryLockWrite(out WriteLease write);
        write.Bytes[0] = 9;
        Assert.Equal(BufferStatus.PeerGone, write.HandOver(new Parties.Party(7, 1)));
        Assert.Equal(BufferStatus.PeerGone, write.HandOver(other.Self with { Generation = 99 }));
        Assert.Equal(9, write.Bytes[0]);
        Assert.Equal(BufferStatus.HandedOver, write.HandOver(other.Self));
        Assert.Equal(0, write.Bytes.Length);
        Assert.Equal(BufferStatus.HeldByWriter, mine.TryLockWrite(out _));
        Assert.Equal(BufferStatus.NotHandedOver, mine.TryAccept(out _));
        Assert.Contains("party 1", mine.DescribeHolder());
        Assert.Equal(BufferStatus.Taken, theirs.TryAccept(out WriteLease accepted));
        Assert.Equal(BufferStatus.NotHandedOver, theirs.TryAccept(out _));
        Assert.Equal(9, accepted.Bytes[0]);
        Assert.False(accepted.IsTorn);
        accepted.Dispose();
    }

    [Fact]
    public void What_was_handed_to_a_party_that_leaves_is_free_and_whole()
    {
        using var segment = Segment.Create(1 << 20);
        OwnedBuffer mine = OwnedBuffer.Create(segment, Length);
        using (var other = Segment.Open(segment.File))
        {
            mine.TryLockWrite(out WriteLease write);
            Assert.Equal(BufferStatus.HandedOver, write.HandOver(other.Self));
        }

        Assert.Equal(BufferStatus.Taken, mine.TryLockWrite(out WriteLease again));
        Assert.False(again.IsTorn);
        again.Dispose();
    }

    [Fact]
    public void What_is_on_its_way_to_a_process_whose_number_another_has_is_not_that_ones_and_not_lost()
    {
        using var segment = Segment.Create(1 << 20);
        using var other = Segment.Open(segment.File);
        OwnedBuffer mine = OwnedBuffer.Create(segment, Length), theirs = OwnedBuffer.Open(other, mine.PartIndex);
        Assert.Equal(BufferStatus.Taken, mine.Lock.Try(LeaseKind.Write, out Take take));
        Assert.Equal(BufferStatus.HandedOver, mine.Lock.HandOver(take, other.Self with { Generation = other.Self.Generation - 1 }));       // and then the one that gave it died
        Assert.Equal(BufferStatus.NotHandedOver, theirs.TryAccept(out _));
        Assert.Equal(BufferStatus.Taken, theirs.LockWrite(PeerProcess.Patience, out WriteLease write));
        Assert.False(write.IsTorn);
        write.Dispose();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Of_a_processs_threads_one_picks_up_what_was_handed_over(bool twoHandles)
    {
        const int rounds = 20_000;
        using var segment = Segment.Create(1 << 20);
        using var other = Segment.Open(segment.File);
        OwnedBuffer mine = OwnedBuffer.Create(segment, Length), first = OwnedBuffer.Open(other, mine.PartIndex), second = twoHandles ? OwnedBuffer.Open(other, mine.PartIndex) : first;
        int holders = 0, taken = 0;
        bool together = false;
        TestThread[] threads = [.. new[] { first, second, first }.Select(b => TestThread.Start(() => PickUp(b)))];
        for (int i = 0; i < rounds; i++)
        {
            Assert.Equal(BufferStatus.Taken, mine.LockWrite(PeerProcess.Patience, out WriteLease lease));
            lease.HandOver(other.Self);
        }

        Assert.Equal(BufferStatus.Taken, mine.LockWrite(PeerProcess.Patience, out WriteLease last));
        Volatile.Write(ref taken, rounds + 1);
        last.Dispose();
        Array.ForEach(threads, t => t.Join(PeerProcess.Patience));
        Assert.False(together);
        Assert.Equal(0, first.CorruptCount + second.CorruptCount + mine.CorruptCount);

        void PickUp(OwnedBuffer buffer)
        {
            while (Volatile.Read(ref taken) < rounds)
            {
                if (buffer.TryAccept(out WriteLease lease) == BufferStatus.Taken)
                {
                    together |= Interlocked.Increment(ref holders) != 1;
                    Interlocked.Increment(ref taken);
                    Interlocked.Decrement(ref holders);
                    lease.Unlock();
                }
            }
        }
    }

    [Fact]
    public void A_hand_over_does_not_end_the_lease_that_another_thread_takes_right_after_it()
    {
        const int rounds = 200_000;
        using var segment = Segment.Create(1 << 20);
        using var other = Segment.Open(segment.File);
        OwnedBuffer mine = OwnedBuffer.Create(segment, Length), theirs = OwnedBuffer.Open(other, mine.PartIndex);
        bool done = false;
        TestThread[] threads =
        [
            TestThread.Start(() => Until(() =>
            {
                if (mine.TryLockWrite(out WriteLease lease) == BufferStatus.Taken)
                {
                    Assert.Equal(BufferStatus.Released, lease.Unlock());
                }
            })),
            TestThread.Start(() => Until(() =>
            {
                if (theirs.TryAccept(out WriteLease lease) == BufferStatus.Taken)
                {
                    Assert.Equal(BufferStatus.Released, lease.Unlock());
                }
            })),
        ];
        for (int i = 0; i < rounds; i++)
        {
            Assert.Equal(BufferStatus.Taken, mine.LockWrite(PeerProcess.Patience, out WriteLease lease));
            Assert.Equal(BufferStatus.HandedOver, lease.HandOver(other.Self));
        }

        Volatile.Write(ref done, true);
        Array.ForEach(threads, t => t.Join(PeerProcess.Patience));

        void Until(Action step)
        {
            while (!Volatile.Read(ref done))
            {
                step();
            }
        }
    }

    [Fact]
    public void Handing_over_and_back_loses_no_wake_up()
    {
        using var segment = Segment.Create(1 << 20);
        OwnedBuffer buffer = OwnedBuffer.Create(segment, Length);
        int rounds = Long.Choose(5_000, 1_000_000);
        using var peer = PeerProcess.Start("buffer-echo", $"{rounds}");
        peer.Send(segment);
        peer.WaitFor("open as 1");
        Parties.Party to = segment.Parties.Find(1)!.Value;
        Assert.Equal(BufferStatus.Taken, buffer.TryLockWrite(out WriteLease lease));
        for (int i = 0; i < rounds; i++)
        {
            byte before = lease.Bytes[0];
            Assert.Equal(BufferStatus.HandedOver, lease.HandOver(to));
            Assert.Equal(BufferStatus.Taken, buffer.Accept(PeerProcess.Patience, out lease));
            Assert.Equal((byte)(before + 1), lease.Bytes[0]);
        }

        lease.Dispose();
        peer.WaitFor("echoed");
        Assert.Equal(0, buffer.CorruptCount);
    }

    [Fact]
    public void A_header_that_makes_no_sense_is_refused()
    {
        using var segment = Segment.Create(1 << 20);
        OwnedBuffer.Create(segment, Length);
        foreach (BufferHeader bad in Bad(ReadHeader(segment)))
        {
            BufferHeader good = ReadHeader(segment);
            WriteHeader(segment, bad);
            Assert.Equal(OwnedBufferError.BadHeader, Assert.Throws<OwnedBufferException>(() => OwnedBuffer.Open(segment, 0)).Error);
            WriteHeader(segment, good);
        }

        OwnedBuffer.Open(segment, 0);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    public void Lengths_out_of_range_are_refused(int length)
    {
        using var segment = Segment.Create(1 << 20);
        Assert.Equal(OwnedBufferError.BadArgument, Assert.Throws<OwnedBufferException>(() => OwnedBuffer.Create(segment, length)).Error);
    }

    private static IEnumerable<BufferHeader> Bad(BufferHeader good) =>
        [good with { Magic = 1 }, good with { Level = 3 }, good with { Means = 0 }, good with { LengthBytes = 0 }, good with { LengthBytes = -1 }, good with { LengthBytes = 1 << 20 }, good with { RoomBytes = 4096 }];

    private static unsafe BufferHeader* At(Segment segment)
    {
        Part part = segment.Find(0, PartKind.OwnedBuffer);
        return (BufferHeader*)(part.Address + part.LengthBytes - BufferHeader.AreaBytes);
    }

    private static unsafe BufferHeader ReadHeader(Segment segment) => *At(segment);

    private static unsafe void WriteHeader(Segment segment, BufferHeader header) => *At(segment) = header;
}
