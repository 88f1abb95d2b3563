using System.Diagnostics;
using System.Net.Sockets;
using Rpal.Memory.Blocks;
using Rpal.Memory.Segments;
using Rpal.Memory.Waiting;

namespace Rpal.Memory.Tests;

public sealed class SampleTests
{
    private static readonly string s_frames = Path.Combine(AppContext.BaseDirectory, "Frames");

    [Fact]
    public void The_sample_passes_its_frames()
    {
        ChildOutput ran = Child.Run(PeerProcess.Patience, s_frames);
        Assert.Equal((0, true), (ran.ExitCode, ran.Output.Contains("viewer: 200 frames, 0 wrong", StringComparison.Ordinal)));
    }

    /// <summary>The test is the camera, and goes: before it has sent the segment, or after.</summary>
    [Theory]
    [InlineData(false, "viewer: The other process has closed the connection.")]
    [InlineData(true, "viewer: party 0 (process ")]
    public async Task A_partner_that_goes_is_one_line_and_an_error(bool afterSegment, string line)
    {
        string path = Path.Combine(Path.GetTempPath(), $"frames-test-{Environment.ProcessId}-{afterSegment}");
        using var viewer = Child.Start(new ProcessStartInfo(s_frames, ["view", path]) { RedirectStandardError = true });
        Task<string> said = viewer.Process.StandardError.ReadToEndAsync();
        using (Socket socket = Connect(path))
        {
            if (afterSegment)
            {
                using Segment segment = Segment.Create(1 << 20);
                BlockPool.Create(segment, new BlockPoolOptions { BlockBytes = 4096, BlockCount = 8 });
                SharedSemaphore.CreateMany(segment, 2);
                segment.AddBytes(4 * BlockReference.SizeBytes);
                SegmentTransfer.Send(segment, socket.SafeHandle, PeerProcess.Patience);
            }
        }

        viewer.AwaitExit(PeerProcess.Patience);
        File.Delete(path);
        Assert.Equal(1, viewer.Process.ExitCode);
        string printed = await said.WaitAsync(PeerProcess.Patience);
        Assert.StartsWith(line, Assert.Single(printed.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
    }

    /// <summary>Once the viewer listens.</summary>
    private static Socket Connect(string path)
    {
        for (long until = Environment.TickCount64 + (long)PeerProcess.Patience.TotalMilliseconds; ; Thread.Yield())
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                socket.Connect(new UnixDomainSocketEndPoint(path));
                return socket;
            }
            catch (SocketException) when (Environment.TickCount64 < until)
            {
                socket.Dispose();
            }
        }
    }
}
