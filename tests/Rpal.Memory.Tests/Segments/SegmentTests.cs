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
        Party other = segment.Parties.Find(1)!.Value;
        Assert.Contains($"process {peer.Pid}", segment.Describe(other));
        Assert.Contains("Rpal.MemoryPeer", segment.Describe(other));
        Assert.Equal(0, segment.Sweep());
        Assert.True(segment.IsAlive(other));
        peer.Kill();
        Assert.False(segment.IsAlive(other));
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
        using SafeFileHandle fine = Memfd(Length, seals, good);
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

    [Fact]
    public void Processes_that_add_parts_at_once_do_not_get_the_same_room()
    {
        const int each = 20;
        using var segment = Segment.Create(Length);
        using PeerProcess first = PeerProcess.Start("add-parts", $"{each}"), second = PeerProcess.Start("add-parts", $"{each}");
        first.Send(segment);
        second.Send(segment);
        for (int i = 0; i < each; i++)
        {
            segment.Add(PartKind.Bytes, 1000, prepare: static part => new Span<byte>(part.Address, 1000).Fill(1));
        }

        Assert.Equal(0, first.WaitForExit());
        Assert.Equal(0, second.WaitForExit());
        Assert.Equal(3 * each, segment.PartCount);
        AssertApart(segment);
    }

    [Theory]
    [InlineData((int)KillPoint.PartRoomTaken)]
    [InlineData((int)KillPoint.PartWritten)]
    public void What_a_process_that_was_killed_while_it_added_had_begun_is_in_nobodys_part(int point)
    {
        using var segment = Segment.Create(Length);
        using PeerProcess doomed = PeerProcess.StartDoomed(point, 3, "add-parts", "5");
        doomed.Send(segment);
        Assert.NotEqual(0, doomed.WaitForExit());
        Assert.Equal(2, segment.PartCount);
        Part part = segment.Add(PartKind.Bytes, 5000);
        Assert.Equal(2, part.Index);
        Assert.Equal(-1, new ReadOnlySpan<byte>(part.Address, 5000).IndexOfAnyExcept((byte)0));
        AssertApart(segment);
    }

    [Fact]
    public void More_memory_than_there_is_is_an_error_at_once()
    {
        SegmentException e = Assert.Throws<SegmentException>(() => Segment.Create(Segment.MostBytes));
        Assert.Equal(SegmentError.NoMemory, e.Error);
        Assert.Contains("MemAvailable", e.Message);
    }

    private static void AssertApart(Segment segment)
    {
        long end = Segment.HeaderBytes;
        for (int i = 0; i < segment.PartCount; i++)
        {
            Part part = segment.Find(i, PartKind.Bytes);
            Assert.True(part.Offset >= end, $"part {i} at {part.Offset} begins before {end}");
            end = part.Offset + part.LengthBytes;
        }
    }

    private static int Fd(Segment segment) => (int)segment.File.DangerousGetHandle();

    private static void Refused(SegmentError error, SafeFileHandle file)
    {
        using (file)
        {
            Assert.Equal(error, Assert.Throws<SegmentException>(() => Segment.Open(file)).Error);
        }
    }

    private static SafeFileHandle Memfd(long length, int seals, SegmentHeader header = default)
    {
        int fd = Sys.MemfdCreate("test"u8, MemfdFlags.CloseOnExec | MemfdFlags.AllowSealing);
        Assert.Equal(0, Sys.Ftruncate(fd, length));
        if (length > 0)
        {
            Assert.Equal(sizeof(SegmentHeader), Sys.Write(fd, &header, (nuint)sizeof(SegmentHeader)));
        }

        Assert.Equal(0, seals == 0 ? 0 : Sys.AddSeals(fd, seals));
        return new SafeFileHandle(fd, true);
    }
}
