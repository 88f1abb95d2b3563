using Rpal.Memory.Buffers;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Tests.Segments;

/// <summary>Reserved huge pages. They need some: as root, echo 16 > /proc/sys/vm/nr_hugepages.</summary>
public sealed class HugePageTests
{
    private const long PageBytes = 2 << 20;
    private static readonly SegmentOptions s_require = new() { Pages = PagePreference.RequireHuge };

    [NeedsHugePagesFact]
    public unsafe void A_segment_of_reserved_huge_pages_is_one_in_every_process()
    {
        long before = Reserved.Free;
        using (var segment = Segment.Create(3 << 20, s_require))
        {
            Assert.Equal((PageKind.Huge, 2 * PageBytes), (segment.Pages, segment.LengthBytes));
            Assert.Equal(before - 2, Reserved.Free);              // they are there before anybody touches them
            new Span<byte>(segment.Address + Segment.HeaderBytes, (int)(segment.LengthBytes - Segment.HeaderBytes)).Fill(1);
            using (var same = Segment.Open(segment.File))
            {
                Assert.Equal(PageKind.Huge, same.Pages);
                Assert.Equal(1, same.Address[segment.LengthBytes - 1]);
            }

            new Span<byte>(segment.Address + Segment.HeaderBytes, 100).Clear();
            using var peer = PeerProcess.Start("hold");
            segment.Add(PartKind.Bytes, 100);
            Assert.True(peer.Send(segment));
            peer.WaitFor("open");
        }

        Assert.True(SpinWait.SpinUntil(() => Reserved.Free == before, PeerProcess.Patience));
    }

    [NeedsHugePagesFact]
    public void More_than_are_reserved_is_an_error_when_it_is_made_or_the_stated_fallback()
    {
        long before = Reserved.Free;
        SegmentException e = Assert.Throws<SegmentException>(() => Segment.Create((before + 1) * PageBytes, s_require));
        Assert.Equal(SegmentError.NoMemory, e.Error);
        Assert.Contains("nr_hugepages", e.Message);
        Assert.Equal(before, Reserved.Free);
        using var fallen = Segment.Create((before + 1) * PageBytes, new SegmentOptions { Pages = PagePreference.PreferHuge });
        Assert.Equal(PageKind.SmallJoined, fallen.Pages);
        Assert.Equal(before, Reserved.Free);
    }

    [NeedsHugePagesFact]
    public void A_guarded_buffer_of_huge_pages_ends_the_offender_too()
    {
        using var segment = Segment.Create(8 << 20, s_require);
        OwnedBuffer buffer = OwnedBuffer.Create(segment, 3 << 20, new OwnedBufferOptions { Level = BufferLevel.Guarded });
        Assert.Equal(GuardMeans.Protect, buffer.Means);
        using var victim = PeerProcess.Start("buffer-outside", "write");
        victim.Send(segment);
        Assert.Equal(128 + Linux.Signal.SIGSEGV, victim.WaitForExit(PeerProcess.Patience));
        Assert.Contains("inside: True, Protect", victim.ToString());
        Assert.Contains($"rpal: buffer 0 of segment {segment.Id:x16}, {3 << 20} bytes", victim.ToString());
        Assert.Equal(BufferStatus.Taken, buffer.LockWrite(PeerProcess.Patience, out WriteLease lease));
        lease.Bytes.Fill(1);
        lease.Dispose();
    }
}

/// <summary>The system's reserved huge pages of 2 MiB.</summary>
internal static class Reserved
{
    public static long Free => long.Parse(File.ReadAllText("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"));
}

/// <summary>A test that needs reserved huge pages: reported as skipped, with the reason, where there are none.</summary>
internal sealed class NeedsHugePagesFactAttribute : FactAttribute
{
    private const int Pages = 8;

    public NeedsHugePagesFactAttribute()
    {
        try
        {
            Skip = Reserved.Free >= Pages ? null : $"fewer than {Pages} huge pages of 2 MiB are reserved and free (vm.nr_hugepages)";
        }
        catch (IOException e)
        {
            Skip = e.Message;
        }
    }
}
