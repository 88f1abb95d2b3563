using Rpal.Memory.Buffers;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Tests.Buffers;

/// <summary>An access outside a lease ends the offender, and says why.</summary>
public sealed class BufferGuardTests
{
    private const int Killed = 128 + Linux.Signal.SIGSEGV;

    [Theory]
    [InlineData("read", 100, GuardMeans.Cheapest, "Protect")]
    [InlineData("write", 4096, GuardMeans.Protect, "Protect")]
    [InlineData("write-under-read", 64 * 1024, GuardMeans.Cheapest, "Protect")]
    [InlineData("read", 512 * 1024, GuardMeans.Cheapest, "Move")]
    [InlineData("write", 5 << 20, GuardMeans.Cheapest, "Move")]
    [InlineData("write", 4096, GuardMeans.Move, "Move")]
    public void An_access_outside_a_lease_ends_the_process_with_a_message(string access, int length, GuardMeans means, string expected)
    {
        using var segment = Segment.Create(16 << 20);
        OwnedBuffer buffer = OwnedBuffer.Create(segment, length, new OwnedBufferOptions { Level = BufferLevel.Guarded, Means = means });
        using var victim = PeerProcess.Start("buffer-outside", access);
        Assert.True(victim.Send(segment));
        Assert.Equal(Killed, victim.WaitForExit(PeerProcess.Patience));
        string printed = victim.ToString();
        Assert.Contains($"inside: True, {expected}", printed);
        Assert.DoesNotContain("survived", printed);
        Assert.Contains($"rpal: buffer 0 of segment {segment.Id:x16}, {length} bytes", printed);
        Assert.Contains($"by process {victim.Pid}, party 1", printed);
        Assert.Contains("Rule: its bytes are touched only between", printed);
        if (access == "write-under-read")
        {
            Assert.Contains("Holder: 1 read it. The access came from thread ", printed);
        }
        else
        {
            Assert.Contains("a null reference is still an exception", printed);
            Assert.Contains("Holder: nobody. The access came from thread ", printed);
        }

        // What the others see of it.
        Assert.Equal(BufferStatus.Taken, buffer.LockWrite(PeerProcess.Patience, out WriteLease lease));
        Assert.False(lease.IsTorn);
        lease.Dispose();
    }

    [Theory]
    [InlineData(4096)]
    [InlineData(1 << 20)]
    public void The_message_names_the_holder(int length)
    {
        using var segment = Segment.Create(8 << 20);
        OwnedBuffer buffer = OwnedBuffer.Create(segment, length, new OwnedBufferOptions { Level = BufferLevel.Guarded });
        Assert.Equal(BufferStatus.Taken, buffer.TryLockWrite(out WriteLease lease));
        using var victim = PeerProcess.Start("buffer-outside", "write");
        victim.Send(segment);
        Assert.Equal(Killed, victim.WaitForExit(PeerProcess.Patience));
        Assert.Contains($"Holder: party 0 writes (its thread {Linux.Sys.GetTid()}).", victim.ToString());
        lease.Bytes.Fill(1);
        lease.Dispose();
    }

    [Fact]
    public void An_access_outside_a_lease_of_a_checked_buffer_is_nobodys_business()
    {
        using var segment = Segment.Create(1 << 20);
        OwnedBuffer.Create(segment, 4096);
        using var victim = PeerProcess.Start("buffer-outside", "write");
        victim.Send(segment);
        Assert.Equal(0, victim.WaitForExit(PeerProcess.Patience));
        Assert.Contains("survived", victim.ToString());
    }

    [Theory]
    [InlineData(4096)]
    [InlineData(1 << 20)]
    public void Leases_of_several_threads_open_it_once_and_the_last_closes_it(int length)
    {
        using var segment = Segment.Create(8 << 20);
        OwnedBuffer buffer = OwnedBuffer.Create(segment, length, new OwnedBufferOptions { Level = BufferLevel.Guarded }), same = OwnedBuffer.Open(segment, buffer.PartIndex);
        int wrong = 0;
        Parallel.For(0, 4, new ParallelOptions { MaxDegreeOfParallelism = 4 }, worker =>
        {
            OwnedBuffer mine = worker % 2 == 0 ? buffer : same;
            for (int i = 0; i < 300; i++)
            {
                if (i % 4 == 0 && mine.LockWrite(TimeSpan.FromMilliseconds(5), out WriteLease write) == BufferStatus.Taken)
                {
                    MemoryPeer.Roles.BufferContent.Fill(write.Bytes, (ulong)i);
                    write.Dispose();
                }
                else if (mine.LockRead(TimeSpan.FromMilliseconds(5), out ReadLease read) == BufferStatus.Taken)
                {
                    Interlocked.Add(ref wrong, MemoryPeer.Roles.BufferContent.IsWhole(read.Bytes) ? 0 : 1);
                    read.Dispose();
                }
            }
        });
        Assert.Equal(0, wrong);
        Assert.Equal(0, buffer.CorruptCount);
        Assert.False(IsMapped(segment, buffer));
        buffer.TryLockRead(out ReadLease last);
        Assert.True(IsMapped(segment, buffer));
        last.Dispose();
    }

    [Fact]
    public unsafe void A_segment_that_is_closed_takes_its_guards_along()
    {
        for (int i = 0; i < 300; i++)                            // more than there can be at the same time
        {
            using var segment = Segment.Create(8 << 20);
            OwnedBuffer.Create(segment, 1 << 20, new OwnedBufferOptions { Level = BufferLevel.Guarded });
        }

        Assert.DoesNotContain(File.ReadLines("/proc/self/maps"), l => l.StartsWith("24", StringComparison.Ordinal) && l.IndexOf('-') == 12);
    }

    [Fact]
    public void Protection_keys_are_used_where_there_are_any_and_their_absence_is_said()
    {
        using var segment = Segment.Create(1 << 20);
        var options = new OwnedBufferOptions { Level = BufferLevel.GuardedByKeys };
        if (OwnedBuffer.KeysMissing is { } why)
        {
            OwnedBufferException e = Assert.Throws<OwnedBufferException>(() => OwnedBuffer.Create(segment, 4096, options));
            Assert.Equal(OwnedBufferError.NoKeys, e.Error);
            Assert.Contains(why, e.Message);
            Assert.Equal(0, segment.PartCount);
        }

        OwnedBuffer buffer = OwnedBuffer.Create(segment, 4096, options with { FallBack = true });
        Assert.Equal(OwnedBuffer.KeysMissing is null ? BufferLevel.GuardedByKeys : BufferLevel.Guarded, buffer.Level);
        Assert.Equal(BufferStatus.Taken, buffer.TryLockWrite(out WriteLease lease));
        lease.Bytes.Fill(1);
        lease.Dispose();
    }

    [NeedsKeysFact]
    public void An_access_outside_a_lease_is_told_by_the_keys_too()
    {
        using var segment = Segment.Create(1 << 20);
        OwnedBuffer.Create(segment, 4096, new OwnedBufferOptions { Level = BufferLevel.GuardedByKeys });
        using var victim = PeerProcess.Start("buffer-outside", "write");
        victim.Send(segment);
        Assert.Equal(Killed, victim.WaitForExit(PeerProcess.Patience));
        Assert.Contains("GuardedByKeys, was accessed outside a lease", victim.ToString());
    }

    [NeedsKeysFact]
    public void Keys_do_what_their_documentation_says()
    {
        using var peer = PeerProcess.Start("keys");              // tests/qemu/keys runs it where the CPU has none
        Assert.True(peer.WaitForExit(PeerProcess.Patience) == 0, peer.ToString());
    }

    /// <summary>By the kernel's own list: the bytes' first page is there and readable.</summary>
    private static unsafe bool IsMapped(Segment segment, OwnedBuffer buffer)
    {
        long address = (long)segment.Find(buffer.PartIndex, PartKind.OwnedBuffer).Address;
        foreach (string line in File.ReadLines("/proc/self/maps"))
        {
            string[] range = line[..line.IndexOf(' ')].Split('-');
            if (Convert.ToInt64(range[0], 16) <= address && address < Convert.ToInt64(range[1], 16))
            {
                return line[line.IndexOf(' ') + 1] == 'r';
            }
        }

        return false;
    }
}

/// <summary>A test that needs protection keys: reported as skipped, with the reason, where there are none.</summary>
internal sealed class NeedsKeysFactAttribute : FactAttribute
{
    public NeedsKeysFactAttribute() => Skip = OwnedBuffer.KeysMissing;
}
