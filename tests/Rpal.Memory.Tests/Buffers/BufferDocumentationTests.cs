using System.Net.Sockets;
using Rpal.Memory.Buffers;
using Rpal.Memory.Parties;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Tests.Buffers;

/// <summary>The examples of docs/memory/buffers.md and docs/memory/segments.md, both sides in one process.</summary>
public sealed class BufferDocumentationTests
{
    [Fact]
    public async Task Buffers()
    {
        (Socket socket, Socket other) = Pair();
        using (socket)
        using (other)
        {
            List<string> said = [];
            Party sender = default;
            Task<Segment> receiving = Task.Run(() => SegmentTransfer.Receive(other.SafeHandle, TimeSpan.FromSeconds(5), out sender));

            using Segment segment = Segment.Create(16 << 20);
            OwnedBuffer frame = OwnedBuffer.Create(segment, 4 << 20, new OwnedBufferOptions { Level = BufferLevel.Guarded });
            SegmentTransfer.Send(segment, socket.SafeHandle, TimeSpan.FromSeconds(5), out Party peer);

            using Segment received = await receiving;
            OwnedBuffer theirs = OwnedBuffer.Open(received, 0);

            if (frame.TryLockWrite(out WriteLease write) == BufferStatus.Taken)
            {
                using (write)
                {
                    write.Bytes.Fill(1);
                    Assert.Contains("party 0", theirs.DescribeHolder());
                    Assert.Equal(BufferStatus.HandedOver, write.HandOver(peer));
                }
            }
            else
            {
                Assert.Fail(frame.DescribeHolder());
            }

            if (theirs.Accept(TimeSpan.FromSeconds(1), out WriteLease accepted) == BufferStatus.Taken)
            {
                using (accepted)
                {
                    accepted.Bytes[0]++;
                }
            }
            else if (!received.IsAlive(sender))
            {
                Assert.Fail($"{received.Describe(sender)} has died, nothing will come");
            }

            if (frame.LockRead(TimeSpan.FromMilliseconds(100), out ReadLease read) == BufferStatus.Taken)
            {
                using (read)
                {
                    said.Add(read.IsTorn ? "half-written" : $"{read.Bytes[0]}, version {read.Version}");
                }
            }

            Assert.Equal(["2, version 1"], said);
        }
    }

    [Fact]
    public async Task Segments()
    {
        (Socket socket, Socket other) = Pair();
        using (socket)
        using (other)
        {
            Party sender = default;
            Task<Segment> receiving = Task.Run(() => SegmentTransfer.Receive(other.SafeHandle, TimeSpan.FromSeconds(5), out sender));

            using Segment segment = Segment.Create(64 << 20, new SegmentOptions { Pages = PagePreference.PreferHuge });
            bool sameAddress = SegmentTransfer.Send(segment, socket.SafeHandle, TimeSpan.FromSeconds(5), out Party peer);

            using Segment received = await receiving;
            Assert.False(sameAddress);                           // one process cannot have both there
            Assert.Equal((segment.Id, segment.Self), (received.Id, sender));
            Assert.True(segment.IsAlive(peer));

            received.Dispose();                                  // whether the peer lives
            other.Dispose();
            Assert.Equal((false, 0), (segment.IsAlive(peer), socket.Receive(new byte[1])));
        }
    }

    private static (Socket Ours, Socket Theirs) Pair()
    {
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        string path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        var ours = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        ours.Connect(new UnixDomainSocketEndPoint(path));
        Socket theirs = listener.Accept();
        File.Delete(path);
        return (ours, theirs);
    }
}
