using Microsoft.Win32.SafeHandles;
using Rpal.Linux;
using Rpal.Memory.Parties;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Tests.Segments;

public sealed unsafe class SegmentTests
{
    private const long Length = 1 << 20;

    [Fact]
    public void A_segment_is_of_zero_bytes_in_whole_pages_and_sealed()
    {
        using var segment = Segment.Create(Length + 1);
        Assert.Equal(Length + 4096, segment.LengthBytes);
        Assert.Equal(FileSeals.Shrink | FileSeals.Grow | FileSeals.Seal, Sys.GetSeals(Fd(segment)));
        Assert.True(Sys.Ftruncate(Fd(segment), 4096) < 0);
        Assert.Equal(-1, new ReadOnlySpan<byte>(segment.Address + Segment.HeaderBytes, (int)(Length - Segment.HeaderBytes)).IndexOfAnyExcept((byte)0));
        Assert.True(segment.IsAtSharedAddress);
        Assert.Equal(0, (long)segment.Address % SegmentAddress.Alignment);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(Segment.LeastBytes - 1)]
    [InlineData(Segment.MostBytes + 1)]
    public void Lengths_out_of_range_are_refused(long length) =>
        Assert.Equal(SegmentError.BadArgument, Assert.Throws<SegmentException>(() => Segment.Create(length)).Error);

    [Fact]
    public void More_than_there_is_memory_for_is_an_error_when_it_is_made()
    {
        SegmentException e = Assert.Throws<SegmentException>(() => Segment.Create(Segment.MostBytes));
        Assert.Equal(SegmentError.NoMemory, e.Error);
        Assert.Matches(@"^No memory for a segment of 1099511627776 bytes: .+ has room for \d+\. Make it smaller, or give the container or machine more\.$", e.Message);
    }

    [Theory]
    [InlineData("0::/a/b", "/sys/fs/cgroup/a/memory", "max", "current", "", 1_000_000 - 400_000 + 30_000 + 5_000, "the control group /sys/fs/cgroup/a")]
    [InlineData("5:cpu,memory:/a", "/sys/fs/cgroup/memory/a/memory", "limit_in_bytes", "usage_in_bytes", "total_", 1_000_000 - 400_000 + 30_000 + 5_000, "the control group /sys/fs/cgroup/memory/a")]
    [InlineData("0::/a", "/sys/fs/cgroup/b/memory", "max", "current", "", 3_000 * 1024, "the machine (/proc/meminfo, MemAvailable and SwapFree)")]
    [InlineData("", "", "", "", "", 3_000 * 1024, "the machine (/proc/meminfo, MemAvailable and SwapFree)")]
    public void The_room_for_a_segment_is_that_of_the_tightest_limit(string groups, string files, string limit, string used, string prefix, long room, string source)
    {
        Dictionary<string, string> tree = new()
        {
            ["/proc/self/cgroup"] = $"3:pids:/x\n{groups}\n",
            ["/proc/meminfo"] = "MemTotal:  9000 kB\nMemAvailable:   2000 kB\nSwapFree:   1000 kB\n",
            ["/sys/fs/cgroup/memory.max"] = "max\n",
            [$"{files}.{limit}"] = "1000000\n",
            [$"{files}.{used}"] = "400000\n",
            [$"{files}.stat"] = $"anon 7\n{prefix}inactive_file 30000\n{prefix}active_file 5000\n",
        };
        Assert.Equal(room, new MemoryRoom(tree.GetValueOrDefault).Look(out string told));
        Assert.Equal(source, told);
    }

    [Fact]
    public void Processes_that_add_parts_at_the_same_time_get_places_of_their_own()
    {
        const int each = 20;
        using var segment = Segment.Create(Length);
        Part go = segment.Add(PartKind.Bytes, 1);
        using var one = PeerProcess.Start("add-parts", $"{each}");
        using var other = PeerProcess.Start("add-parts", $"{each}");
        foreach (PeerProcess peer in new[] { one, other })
        {
            peer.Send(segment);
            peer.WaitFor("open");
        }

        Volatile.Write(ref *go.Address, 1);
        for (int i = 0; i < each; i++)
        {
            segment.Add(PartKind.Bytes, 500);
        }

        one.WaitFor("added");
        other.WaitFor("added");
        Assert.Equal(1 + 3 * each, segment.PartCount);
        AssertApart(segment);
    }

    [Fact]
    public void Huge_pages_are_had_or_said_to_be_missing()
    {
        using var preferred = Segment.Create(4 << 20, new SegmentOptions { Pages = PagePreference.PreferHuge });
        Assert.NotEqual(PageKind.Small, preferred.Pages);
        try
        {
            using var required = Segment.Create(4 << 20, new SegmentOptions { Pages = PagePreference.RequireHuge });
            Assert.Equal(PageKind.Huge, required.Pages);
        }
        catch (SegmentException e)
        {
            Assert.Equal(SegmentError.NoMemory, e.Error);
            Assert.Equal(PageKind.SmallJoined, preferred.Pages);
        }
    }

    [Fact]
    public void Another_process_has_it_at_the_same_address_as_a_party_of_its_own()
    {
        using var segment = Segment.Create(Length);
        Part part = segment.Add(PartKind.Bytes, 100);
        using var peer = PeerProcess.Start("hold");
        Assert.True(peer.Send(segment));
        Assert.Equal($"open 0x{(long)segment.Address:x} as 1", peer.WaitFor("open"));
        Assert.Equal(1, *part.Address);
        Party other = Assert.Single(segment.OtherParties());
        Assert.Equal(1, other.Number);
        Assert.Contains($"process {peer.Pid}", segment.Describe(other));
        Assert.Contains("Rpal.MemoryPeer", segment.Describe(other));
        Assert.Equal(0, segment.Sweep());
        Assert.True(segment.IsAlive(other));
        peer.Kill();
        Assert.False(segment.IsAlive(other));
        Assert.Empty(segment.OtherParties());
        Assert.Equal(1, segment.Sweep());
        Assert.Equal(0, segment.Sweep());
    }

    [Fact]
    public void Whoever_is_given_the_descriptor_can_neither_keep_nor_end_its_givers_life()
    {
        using var segment = Segment.Create(Length);
        using var other = Segment.Open(segment.File);
        Assert.Equal(0, Sys.UnlockByte(Fd(segment), PartyTable.LockBase + segment.Self.Number));      // the description that is passed
        Assert.True(other.IsAlive(segment.Self));
        Assert.Equal(1, Sys.IsByteLocked(Fd(segment), PartyTable.LockBase + segment.Self.Number));
        Assert.Equal(0, other.Sweep());
    }

    [Fact]
    public void A_number_whose_process_died_is_cleared_away_by_the_next_that_comes()
    {
        using var segment = Segment.Create(Length);
        segment.Add(PartKind.Bytes, 100);
        for (uint i = 1; i <= 3; i++)
        {
            using var peer = PeerProcess.Start("hold");
            peer.Send(segment);
            Assert.EndsWith("as 1", peer.WaitFor("open"), StringComparison.Ordinal);
            Assert.Equal(i, segment.Parties.Find(1)!.Value.Generation);
            Assert.Equal(i - 1, segment.Header->Recoveries);
            peer.Kill();
        }
    }

    [Fact]
    public void There_can_be_a_bounded_number_of_parties()
    {
        using var segment = Segment.Create(Length);
        List<Segment> others = [];
        try
        {
            while (others.Count < PartyTable.Capacity - 1)
            {
                others.Add(Segment.Open(segment.File));
                Assert.False(others[^1].IsAtSharedAddress);       // this process has it there already
            }

            SegmentException e = Assert.Throws<SegmentException>(() => Segment.Open(segment.File));
            Assert.Equal(SegmentError.TooManyParties, e.Error);
            Assert.Contains("32", e.Message);
            others[7].Dispose();
            others[7] = Segment.Open(segment.File);
            Assert.Equal(8, others[7].Self.Number);
        }
        finally
        {
            others.ForEach(o => o.Dispose());
        }
    }

    [Fact]
    public void An_address_that_is_taken_there_is_agreed_anew_while_the_segment_can_move()
    {
        using var segment = Segment.Create(Length);
        long hole = 0x3000_0000_0000;
        while ((long)segment.Address - hole is > -(4L << 30) and < 4L << 30)
        {
            hole += 8L << 30;
        }

        // The other process has room for segments in one place only, of 2 MiB: random proposals hit it never, but the kernel's own choice is refused as well.
        using var peer = PeerProcess.Start("occupied", $"{hole:x}", $"{SegmentAddress.End - hole:x}");
        Assert.True(peer.Send(segment));
        Assert.Equal($"open 0x{(long)segment.Address:x}", peer.WaitFor("open"));
        Assert.True((long)segment.Address >= hole);
    }

    [Fact]
    public void An_address_that_is_taken_there_is_an_error_once_the_segment_cannot_move()
    {
        using var segment = Segment.Create(Length);
        segment.Add(PartKind.Bytes, 100);
        using var peer = PeerProcess.Start("occupied", $"{SegmentAddress.End:x}", "0");
        SegmentException e = Assert.Throws<SegmentException>(() => peer.Send(segment));
        Assert.Equal(SegmentError.AddressOccupied, e.Error);
        Assert.Contains($"0x{(long)segment.Address:x}", peer.WaitFor("AddressOccupied"));
    }

    [Fact]
    public void What_is_not_sealed_or_no_segment_is_refused_before_it_is_mapped()
    {
        using (var file = new SafeFileHandle(Sys.Open("/dev/zero", OpenFlags.ReadWrite), true))
        {
            Refused(SegmentError.NotSealed, file);
        }

        int seals = FileSeals.Shrink | FileSeals.Grow | FileSeals.Seal;
        Refused(SegmentError.NotSealed, Memfd(Length, 0));
        Refused(SegmentError.NotSealed, Memfd(Length, seals & ~FileSeals.Shrink));
        Refused(SegmentError.NotSealed, Memfd(Length, seals | FileSeals.Write));
        Refused(SegmentError.BadHeader, Memfd(Length, seals));
        Refused(SegmentError.BadHeader, Memfd(0, seals));
        SegmentHeader good = new() { Magic = SegmentHeader.ExpectedMagic, Version = 1, HeaderBytes = (uint)Segment.HeaderBytes, LengthBytes = Length, Address = SegmentAddress.Lowest };
        Refused(SegmentError.BadHeader, Memfd(Length, seals, good with { Version = 2 }));
        Refused(SegmentError.BadHeader, Memfd(Length, seals, good with { LengthBytes = 2 * Length }));
        Refused(SegmentError.BadHeader, Memfd(Length, seals, good with { HeaderBytes = 0 }));
        Refused(SegmentError.NotAllocated, Memfd(Length, seals, good));
        using SafeFileHandle fine = Memfd(Length, seals, good, exists: true);
        Segment.Open(fine).Dispose();
    }

    [Fact]
    public void Entries_of_parts_that_make_no_sense_are_refused()
    {
        using var segment = Segment.Create(Length);
        segment.Add(PartKind.Bytes, 100);
        PartEntry* entry = (PartEntry*)(segment.Address + SegmentHeader.PartsOffset);
        PartEntry good = *entry;
        foreach (PartEntry bad in new[]
        {
            good with { Offset = 0 }, good with { Offset = good.Offset + 1 }, good with { Offset = Length }, good with { Offset = -128 }, good with { LengthBytes = 0 },
            good with { LengthBytes = -1 }, good with { LengthBytes = Length }, good with { LengthBytes = long.MaxValue }, good with { Kind = 77 },
        })
        {
            *entry = bad;
            Assert.Equal(SegmentError.NoSuchPart, Assert.Throws<SegmentException>(() => segment.Find(0, PartKind.Bytes)).Error);
        }

        *entry = good;
        segment.Find(0, PartKind.Bytes);
        Assert.Throws<SegmentException>(() => segment.Find(0, PartKind.BlockPool));
        Assert.Throws<SegmentException>(() => segment.Find(1, PartKind.Bytes));
        Assert.Throws<SegmentException>(() => segment.Find(-1, PartKind.Bytes));
        segment.Header->PartCount = uint.MaxValue;
        Assert.Equal(SegmentHeader.PartCapacity, segment.PartCount);
        segment.Header->PartCount = 1;
        foreach (long next in new[] { 0, -1, long.MinValue, good.Offset, long.MaxValue })
        {
            segment.Header->NextOffset = next;                   // a new part never lies where there is one, nor outside
            Assert.True(next == long.MaxValue || segment.Add(PartKind.Bytes, 100).Offset >= good.Offset + good.LengthBytes);
        }

        Assert.Equal(SegmentError.Full, Assert.Throws<SegmentException>(() => segment.Add(PartKind.Bytes, 100)).Error);
    }

    [Fact]
    public void Parts_fill_a_segment_up_to_its_end_and_not_beyond()
    {
        using var segment = Segment.Create(Length);
        long room = Length - Segment.HeaderBytes;
        Assert.Equal(SegmentError.Full, Assert.Throws<SegmentException>(() => segment.Add(PartKind.Bytes, room + 1)).Error);
        segment.Add(PartKind.Bytes, room);
        Assert.Equal(SegmentError.Full, Assert.Throws<SegmentException>(() => segment.Add(PartKind.Bytes, 1)).Error);
    }

    [Theory]
    [InlineData((int)KillPoint.PartRoomTaken)]
    [InlineData((int)KillPoint.PartWritten)]
    public void What_a_process_that_was_killed_while_it_added_had_begun_is_in_nobodys_part(int point)
    {
        using var segment = Segment.Create(Length);
        using PeerProcess doomed = PeerProcess.StartDoomed(point, 3, "fill-parts", "5");
        doomed.Send(segment);
        Assert.NotEqual(0, doomed.WaitForExit(PeerProcess.Patience));
        Assert.Equal(2, segment.PartCount);
        Part part = segment.Add(PartKind.Bytes, 5000);
        Assert.Equal(2, part.Index);
        Assert.Equal(-1, new ReadOnlySpan<byte>(part.Address, 5000).IndexOfAnyExcept((byte)0));
        AssertApart(segment);
    }

    private static void AssertApart(Segment segment)
    {
        Part[] parts = [.. Enumerable.Range(0, segment.PartCount).Select(i => segment.Find(i, PartKind.Bytes)).OrderBy(p => p.Offset)];
        Assert.All(parts.Zip(parts.Skip(1)), two => Assert.True(two.First.Offset + two.First.LengthBytes <= two.Second.Offset));
    }

    private static int Fd(Segment segment) => (int)segment.File.DangerousGetHandle();

    private static void Refused(SegmentError error, SafeFileHandle file)
    {
        using (file)
        {
            Assert.Equal(error, Assert.Throws<SegmentException>(() => Segment.Open(file)).Error);
        }
    }

    private static SafeFileHandle Memfd(long length, int seals, SegmentHeader header = default, bool exists = false)
    {
        int fd = Sys.MemfdCreate("test"u8, MemfdFlags.CloseOnExec | MemfdFlags.AllowSealing);
        Assert.Equal(0, Sys.Ftruncate(fd, length));
        Assert.Equal(0, exists ? Sys.Fallocate(fd, 0, length) : 0);
        if (length > 0)
        {
            Assert.Equal(sizeof(SegmentHeader), Sys.Write(fd, &header, (nuint)sizeof(SegmentHeader)));
        }

        Assert.Equal(0, seals == 0 ? 0 : Sys.AddSeals(fd, seals));
        return new SafeFileHandle(fd, true);
    }
}
