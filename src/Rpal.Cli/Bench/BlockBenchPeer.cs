using System.Diagnostics;
using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Rpal.Linux;
using Rpal.Memory.Blocks;
using Rpal.Memory.Segments;

namespace Rpal.Cli.Bench;

/// <summary>The second process of <c>rpal bench blocks</c>: a line in for each batch (part, pairs), a line out with its seconds.</summary>
/// <remarks>Meeting place, in the segment: 0 arrived u32, counted up by both before a batch, so that they begin together.</remarks>
internal sealed unsafe class BlockBenchPeer : IDisposable
{
    public const int MeetingBytes = 128;

    /// <summary>Longest wait for the other to arrive.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    private readonly Process _process;
    private readonly uint* _arrived;

    public BlockBenchPeer(Segment segment)
    {
        if (Sys.SocketPair(SocketDomain.Unix, SocketType.SequencedPacket | SocketType.CloseOnExec, out int ours, out int theirs) != 0)
        {
            throw new BenchFailedException("No socket pair.");
        }

        using var socket = new SafeFileHandle(ours, ownsHandle: true);
        int inherited = Sys.DuplicateInherited(theirs, 3);
        _ = Sys.Close(theirs);
        (string command, string[] arguments) = SelfCommand.For("blocks", inherited.ToString(CultureInfo.InvariantCulture));
        _process = Process.Start(new ProcessStartInfo(command, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true })!;
        _ = Sys.Close(inherited);
        SegmentTransfer.Send(segment, socket, s_patience);
        _arrived = (uint*)segment.Find(BlockBench.MeetingPart, PartKind.Bytes).Address;
    }

    /// <summary>A batch in both processes at the same time.</summary>
    /// <returns>Pairs per second of both together.</returns>
    public double Measure(BlockPool pool, int pairs)
    {
        uint expected = Volatile.Read(ref *_arrived) + 2;
        _process.StandardInput.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{pool.Part.Index} {pairs} {expected}"));
        _process.StandardInput.Flush();
        double seconds = 0;
        var thread = new Thread(() => seconds = Batch(_arrived, expected, BenchFigures.FirstCpu, pool, pairs));
        thread.Start();
        thread.Join();
        string line = _process.StandardOutput.ReadLine() ?? throw new BenchFailedException("The second process ended early.");
        return 2 * pairs / Math.Max(seconds, double.Parse(line, CultureInfo.InvariantCulture));
    }

    public void Dispose()
    {
        _process.StandardInput.Close();
        if (!_process.WaitForExit(s_patience))
        {
            _process.Kill();
        }

        _process.Dispose();
    }

    /// <summary>The role.</summary>
    public static void Serve(int socket)
    {
        using var handle = new SafeFileHandle(socket, ownsHandle: true);
        using Segment segment = SegmentTransfer.Receive(handle, s_patience);
        BlockPool[] pools = [BlockPool.Open(segment, BlockBench.PlainPart), BlockPool.Open(segment, BlockBench.AtomicsPart), BlockPool.Open(segment, BlockBench.SectionsPart)];
        uint* arrived = (uint*)segment.Find(BlockBench.MeetingPart, PartKind.Bytes).Address;
        while (Console.In.ReadLine() is { } line)
        {
            int[] words = [.. line.Split(' ').Select(w => int.Parse(w, CultureInfo.InvariantCulture))];
            Console.Out.WriteLine(Batch(arrived, (uint)words[2], BenchFigures.LastCpu, pools[words[0]], words[1]).ToString("R", CultureInfo.InvariantCulture));
            Console.Out.Flush();
        }
    }

    private static double Batch(uint* arrived, uint expected, int cpu, BlockPool pool, int pairs)
    {
        _ = Sys.SchedSetAffinity(0, 1UL << cpu);
        Interlocked.Increment(ref *arrived);
        long waiting = Stopwatch.GetTimestamp();
        while (Volatile.Read(ref *arrived) < expected)
        {
            if (Stopwatch.GetElapsedTime(waiting) > s_patience)
            {
                throw new BenchFailedException("The other process did not come to the start.");
            }

            Thread.Yield();
        }

        long begin = Stopwatch.GetTimestamp();
        BlockBench.Pairs(pool, pairs);
        return Stopwatch.GetElapsedTime(begin).TotalSeconds;
    }
}
