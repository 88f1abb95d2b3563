using System.Diagnostics;
using Microsoft.Win32.SafeHandles;
using Rpal.Linux;
using Rpal.Memory.Segments;
using Rpal.Memory.Waiting;

namespace Rpal.Cli.Bench;

/// <summary>Two processes that wake each other in turns; the woken one says how long after the wake-up began it ran.</summary>
internal static unsafe class WaitRoles
{
    public const int Rounds = 4_000;

    private const int Warm = 400;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    /// <param name="way">One of <see cref="WaitBench.Ways"/>.</param>
    /// <param name="cpu">This process's CPU.</param>
    /// <param name="otherCpu">The other's.</param>
    public static void Wake(string way, int cpu, int otherCpu)
    {
        Pin(cpu);
        using var segment = Segment.Create(Segment.LeastBytes);
        _ = SharedSemaphore.CreateMany(segment, 2);
        Part times = segment.Add(PartKind.Bytes, 4096);
        (int[] ours, int[] theirs) = Descriptors(way);
        Check(Sys.SocketPair(SocketDomain.Unix, Rpal.Linux.SocketType.SequencedPacket | Rpal.Linux.SocketType.CloseOnExec, out int mine, out int its));
        using var socket = new SafeFileHandle(mine, ownsHandle: true);
        int[] inherited = [Sys.DuplicateInherited(its, 3), .. theirs.Select(fd => Sys.DuplicateInherited(fd, 3))];
        (string command, string[] arguments) = SelfCommand.For(["wait-woken", way, $"{otherCpu}", .. inherited.Select(fd => $"{fd}")]);
        using Process woken = Process.Start(new ProcessStartInfo(command, arguments))!;
        _ = SegmentTransfer.Send(segment, socket, s_patience);
        var link = new Link(way, segment, ours[0], ours[1], isFirst: true);
        long* sent = (long*)times.Address, ran = sent + 8;
        uint[] oneWay = new uint[Rounds];
        for (int i = -Warm; i < Rounds; i++)
        {
            Volatile.Write(ref *sent, Stopwatch.GetTimestamp());
            link.Wake();
            link.Wait();
            if (i >= 0)
            {
                oneWay[i] = (uint)Math.Clamp(Volatile.Read(ref *ran) - *sent, 0, uint.MaxValue);
            }
        }

        woken.WaitForExit();
        PeerProtocol.Result(new { oneWayNs = Statistics.Of(oneWay).Times(1e9 / Stopwatch.Frequency) });
    }

    /// <param name="way">One of <see cref="WaitBench.Ways"/>.</param>
    /// <param name="cpu">This process's CPU.</param>
    /// <param name="descriptors">The socket for the segment, then what is waited on and what is woken by.</param>
    public static void BeWoken(string way, int cpu, int[] descriptors)
    {
        Pin(cpu);
        using var socket = new SafeFileHandle(descriptors[0], ownsHandle: true);
        using Segment segment = SegmentTransfer.Receive(socket, s_patience, requireSharedAddress: false);
        var link = new Link(way, segment, descriptors[1], descriptors[2], isFirst: false);
        long* ran = (long*)segment.Find(1, PartKind.Bytes).Address + 8;
        for (int i = -Warm; i < Rounds; i++)
        {
            link.Wait();
            Volatile.Write(ref *ran, Stopwatch.GetTimestamp());
            link.Wake();
        }
    }

    private static (int[] Ours, int[] Theirs) Descriptors(string way)
    {
        const int closeOnExec = OpenFlags.CloseOnExec;
        switch (way)
        {
            case "eventfd":
                int a = Check(Sys.EventFd(0, EventFdFlags.CloseOnExec)), b = Check(Sys.EventFd(0, EventFdFlags.CloseOnExec));
                return ([a, b], [b, a]);
            case "pipe":
                Check(Sys.Pipe2(out int readA, out int writeA, closeOnExec));
                Check(Sys.Pipe2(out int readB, out int writeB, closeOnExec));
                return ([readA, writeB], [readB, writeA]);
            case "socket":
                Check(Sys.SocketPair(SocketDomain.Unix, Rpal.Linux.SocketType.Stream | Rpal.Linux.SocketType.CloseOnExec, out int one, out int other));
                return ([one, one], [other, other]);
            default:
                return ([-1, -1], []);
        }
    }

    private static int Check(int result) => result >= 0 ? result : throw new IOException($"A descriptor could not be made: {ErrnoText.Describe(result)}.");

    private static void Pin(int cpu) => Check(Sys.SchedSetAffinity(0, 1ul << cpu));

    /// <summary>One side's way to wake and to be woken.</summary>
    private sealed class Link(string way, Segment segment, int waitOn, int wakeBy, bool isFirst)
    {
        private readonly SharedSemaphore _wakes = SharedSemaphore.Open(segment, 0, isFirst ? 0 : 1), _waits = SharedSemaphore.Open(segment, 0, isFirst ? 1 : 0);
        private readonly bool _isSemaphore = way.StartsWith("semaphore", StringComparison.Ordinal), _maySpin = way != "semaphore";

        public void Wake()
        {
            ulong one = 1;
            if (_isSemaphore)
            {
                _ = _wakes.Release();
            }
            else
            {
                Check((int)Sys.Write(wakeBy, &one, sizeof(ulong)));
            }
        }

        public void Wait()
        {
            ulong word;
            if (!_isSemaphore)
            {
                Check((int)Sys.Read(waitOn, &word, sizeof(ulong)));
            }
            else if ((_maySpin ? _waits.Wait(Timeout.InfiniteTimeSpan) : _waits.WaitAsleep(Timeout.InfiniteTimeSpan)) != WaitStatus.Acquired)     // as long as a read(2) waits
            {
                throw new IOException("The other process did not wake this one.");
            }
        }
    }
}
