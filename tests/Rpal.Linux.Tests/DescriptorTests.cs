namespace Rpal.Linux.Tests;

/// <summary>Descriptors that come over a socket: taken or closed. A pipe whose far end is nobody's any more says that all copies of that
/// end are closed.</summary>
public sealed unsafe class DescriptorTests
{
    [Fact]
    public void As_many_descriptors_as_are_asked_for_are_taken() =>
        Receive(sent: 2, asked: 2, (count, loss) => Assert.Equal((2, DescriptorLoss.None), (count, loss)));

    [Fact]
    public void A_message_without_descriptors_has_lost_none() =>
        Receive(sent: 0, asked: 1, (count, loss) => Assert.Equal((0, DescriptorLoss.None), (count, loss)));

    /// <summary>Room for an odd number is rounded up by most, and then has one more than was asked for.</summary>
    [Theory]
    [InlineData(2, 1)]
    [InlineData(8, 1)]
    [InlineData(4, 3)]
    [InlineData(5, 4)]
    [InlineData(1, 0)]
    public void More_descriptors_than_asked_for_are_said_and_none_stays_open(int sent, int asked) =>
        Receive(sent, asked, (count, loss) => Assert.Equal((0, DescriptorLoss.TooManySent), (count, loss)));

    private static void Receive(int sent, int asked, Action<int, DescriptorLoss> check)
    {
        Assert.Equal(0, Sys.SocketPair(SocketDomain.Unix, SocketType.SequencedPacket | SocketType.CloseOnExec, out int one, out int other));
        Assert.Equal(0, Sys.SocketPair(SocketDomain.Unix, SocketType.Stream | SocketType.CloseOnExec, out int near, out int far));
        try
        {
            int[] fars = [.. Enumerable.Repeat(far, sent)];
            Assert.Equal(1, Sys.SendDescriptors(one, [7], fars));
            Span<byte> bytes = stackalloc byte[1];
            int[] taken = new int[asked];
            Assert.Equal(1, Sys.ReceiveDescriptors(other, bytes, taken, out int count, out DescriptorLoss loss));
            Assert.Equal(7, bytes[0]);
            check(count, loss);
            foreach (int fd in taken.AsSpan(0, count))
            {
                Assert.Equal(0, Sys.Close(fd));
            }
        }
        finally
        {
            Assert.Equal(0, Sys.Close(far));
            Assert.Equal(0, Sys.Close(one));
            Assert.Equal(0, Sys.Close(other));
        }

        PollFd poll = new() { Fd = near, Events = PollEvents.In };
        Assert.Equal(1, Sys.Poll(&poll, 1, 10_000));             // the other end is gone, all copies of it
        Assert.Equal(0, Sys.Close(near));
    }
}
