using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using Rpal.Linux;
using Rpal.Memory.Buffers;
using Rpal.Memory.Parties;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Tests.Segments;

/// <summary>Who is behind the socket, and what a segment says that has no room.</summary>
public sealed class SegmentTransferTests
{
    private const long Length = 1 << 20;
    private const int MessageBytes = 40, PartyAt = 32, GenerationAt = 36;

    [Fact]
    public async Task Each_side_learns_which_party_the_other_is()
    {
        (SafeFileHandle ours, SafeFileHandle theirs) = Pair();
        using (ours)
        using (theirs)
        using (var segment = Segment.Create(Length))
        using (Segment.Open(segment.File))                       // somebody else has it too, and is not meant
        {
            Party sender = default;
            Task<Segment> receiving = Task.Run(() => SegmentTransfer.Receive(theirs, PeerProcess.Patience, out sender));
            SegmentTransfer.Send(segment, ours, PeerProcess.Patience, out Party receiver);
            using (Segment received = await receiving)
            {
                Assert.Equal((received.Self, segment.Self), (receiver, sender));
                Assert.True(segment.IsAlive(receiver) && received.IsAlive(sender));
            }

            Assert.False(segment.IsAlive(receiver));
        }
    }

    /// <summary>One of the two messages is changed on its way.</summary>
    [Theory]
    [InlineData(true, PartyTable.Capacity)]
    [InlineData(true, -1)]
    [InlineData(false, PartyTable.Capacity)]
    [InlineData(false, int.MinValue)]
    public async Task A_party_that_there_cannot_be_is_an_error(bool inAnswer, int number)
    {
        SegmentException e = await Changed(inAnswer, m => BinaryPrimitives.WriteInt32LittleEndian(m.AsSpan(PartyAt), number));
        Assert.Equal((SegmentError.TransferFailed, true), (e.Error, e.Message.Contains($"there are {PartyTable.Capacity}", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task A_process_that_claims_to_be_this_one_is_an_error()
    {
        SegmentException e = await Changed(inAnswer: true, m =>
        {
            BinaryPrimitives.WriteInt32LittleEndian(m.AsSpan(PartyAt), 0);           // the creator's
            BinaryPrimitives.WriteInt32LittleEndian(m.AsSpan(GenerationAt), 1);
        });
        Assert.Equal((SegmentError.TransferFailed, true), (e.Error, e.Message.Contains("this process is", StringComparison.Ordinal)));
    }

    [Fact]
    public void A_part_that_does_not_fit_because_of_its_alignment_says_so_and_what_to_do()
    {
        using var segment = Segment.Create(Length);
        var options = new OwnedBufferOptions { Level = BufferLevel.Guarded };
        SegmentException e = Assert.Throws<SegmentException>(() => OwnedBuffer.Create(segment, OwnedBuffer.MoveFromBytes, options));
        Assert.Equal(SegmentError.Full, e.Error);
        Assert.All(["a multiple of 2097152", "0 of the segment's 1048576 bytes", "larger segment", "GuardMeans.Protect"], part => Assert.Contains(part, e.Message, StringComparison.Ordinal));
        Assert.NotNull(OwnedBuffer.Create(segment, OwnedBuffer.MoveFromBytes, options with { Means = GuardMeans.Protect }));

        e = Assert.Throws<SegmentException>(() => segment.AddBytes(Length));
        Assert.DoesNotContain("multiple", e.Message, StringComparison.Ordinal);
    }

    /// <summary>40 bytes one by one, each with descriptors: as many as the receiver's room seems to have.</summary>
    [Theory]
    [InlineData(2)]
    [InlineData(1)]
    public void A_peer_that_sends_descriptors_with_every_byte_is_refused_and_none_stays_open(int descriptorsEach)
    {
        Assert.Equal(0, Sys.SocketPair(SocketDomain.Unix, SocketType.Stream | SocketType.CloseOnExec, out int near, out int far));
        Assert.Equal(0, Sys.SocketPair(SocketDomain.Unix, SocketType.Stream | SocketType.CloseOnExec, out int hostile, out int ours));
        using (var theirs = new SafeFileHandle(hostile, ownsHandle: true))
        using (var socket = new SafeFileHandle(ours, ownsHandle: true))
        {
            for (int i = 0; i < MessageBytes; i++)
            {
                Assert.Equal(1, Sys.SendDescriptors(hostile, [0], [.. Enumerable.Repeat(far, descriptorsEach)]));
            }

            SegmentException e = Assert.Throws<SegmentException>(() => SegmentTransfer.Receive(socket, PeerProcess.Patience));
            Assert.Equal(SegmentError.TransferFailed, e.Error);
            Assert.Contains("more than one descriptor", e.Message, StringComparison.Ordinal);
        }

        Assert.Equal(0, Sys.Close(far));
        AssertNobodyHasTheOtherEnd(near);
        Assert.Equal(0, Sys.Close(near));
    }

    [Fact]
    public void A_process_whose_descriptors_are_used_up_says_so_instead_of_blaming_the_other()
    {
        using PeerProcess peer = PeerProcess.StartLimited(descriptors: 200, "full-table");
        using var segment = Segment.Create(Length);
        peer.WaitFor("full");
        SegmentException e = Assert.Throws<SegmentException>(() => peer.Send(segment));
        Assert.Equal(SegmentError.TransferFailed, e.Error);
        string line = peer.WaitFor("with no descriptor free: TransferFailed:");
        Assert.All(["could not take it", "RLIMIT_NOFILE is 200"], part => Assert.Contains(part, line, StringComparison.Ordinal));
        _ = peer.Send(segment);                                  // the next time, with room
        peer.WaitFor("open as 1");
        Assert.Equal(0, peer.WaitForExit(PeerProcess.Patience));
    }

    private static unsafe void AssertNobodyHasTheOtherEnd(int near)
    {
        PollFd poll = new() { Fd = near, Events = PollEvents.In };
        Assert.Equal(1, Sys.Poll(&poll, 1, (int)PeerProcess.Patience.TotalMilliseconds));
    }

    /// <summary>What the side says that is told something else than the other said.</summary>
    private static async Task<SegmentException> Changed(bool inAnswer, Action<byte[]> change)
    {
        (SafeFileHandle ours, SafeFileHandle oursFar) = Pair();
        (SafeFileHandle theirs, SafeFileHandle theirsFar) = Pair();
        using (ours)
        using (oursFar)
        using (theirs)
        using (theirsFar)
        using (var segment = Segment.Create(Length))
        {
            segment.AddBytes(1);                                 // it stays where it is: one offer, one other address, one last word
            Task sending = Task.Run(() => SegmentTransfer.Send(segment, ours, PeerProcess.Patience));
            Task<Segment> receiving = Task.Run(() => SegmentTransfer.Receive(theirs, PeerProcess.Patience));
            Pass(oursFar, theirsFar, _ => { });
            Pass(theirsFar, oursFar, _ => { });                  // one process: its place is taken
            Pass(oursFar, theirsFar, inAnswer ? _ => { } : change);
            if (!inAnswer)
            {
                SegmentException e = await Assert.ThrowsAsync<SegmentException>(() => receiving);
                Assert.Empty(segment.OtherParties());            // what was opened is closed again
                theirsFar.Dispose();
                oursFar.Dispose();
                await Assert.ThrowsAsync<SegmentException>(() => sending);
                return e;
            }

            Pass(theirsFar, oursFar, change);
            using Segment received = await receiving;
            return await Assert.ThrowsAsync<SegmentException>(() => sending);
        }
    }

    private static unsafe void Pass(SafeFileHandle from, SafeFileHandle to, Action<byte[]> change)
    {
        PollFd poll = new() { Fd = (int)from.DangerousGetHandle(), Events = PollEvents.In };
        Assert.Equal(1, Sys.Poll(&poll, 1, (int)PeerProcess.Patience.TotalMilliseconds));
        byte[] message = new byte[MessageBytes];
        Span<int> descriptors = stackalloc int[1];
        Assert.Equal(MessageBytes, Sys.ReceiveDescriptors((int)from.DangerousGetHandle(), message, descriptors, out int count, out _));
        change(message);
        Assert.Equal(MessageBytes, Sys.SendDescriptors((int)to.DangerousGetHandle(), message, descriptors[..count]));
        if (count > 0)
        {
            _ = Sys.Close(descriptors[0]);
        }
    }

    private static (SafeFileHandle One, SafeFileHandle Other) Pair()
    {
        Assert.Equal(0, Sys.SocketPair(SocketDomain.Unix, SocketType.SequencedPacket | SocketType.CloseOnExec, out int one, out int other));
        return (new SafeFileHandle(one, ownsHandle: true), new SafeFileHandle(other, ownsHandle: true));
    }
}
