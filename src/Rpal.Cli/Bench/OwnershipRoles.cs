using System.Diagnostics;
using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Rpal.Linux;
using Rpal.Memory.Buffers;
using Rpal.Memory.Segments;
using SocketType = Rpal.Linux.SocketType;

namespace Rpal.Cli.Bench;

/// <summary>The two processes of <c>rpal bench ownership</c>. The writer measures; the time of a transfer ends when the reader has said that it has read all.</summary>
internal static class OwnershipRoles
{
    private const int Batches = 15, LeastRounds = 2, MostRounds = 5_000;
    private const int MostWarmUps = 50, SlowerInARow = 4;
    private const double Faster = 0.98;
    private const long SegmentBytes = 64 << 20;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30), s_batch = TimeSpan.FromMilliseconds(10);

    public static void Write(int cpu, int readerCpu)
    {
        if (Sys.SocketPair(SocketDomain.Unix, SocketType.Stream | SocketType.NonBlocking | SocketType.CloseOnExec, out int ours, out int theirs) < 0)
        {
            throw new IOException("socketpair failed.");
        }

        using var socket = new SafeFileHandle(ours, ownsHandle: true);
        int inherited = Sys.DuplicateInherited(theirs, 3);
        _ = Sys.Close(theirs);
        using Process reader = BenchRunner.Start("ownership-reader", $"{inherited}", $"{readerCpu}", $"{cpu}");
        _ = Sys.Close(inherited);
        PinAll(cpu);
        using var segment = Segment.Create(SegmentBytes);
        Part control = segment.Add(PartKind.Bytes, OwnershipControl.SizeBytes);
        foreach ((_, int bytes) in OwnershipFigures.Sizes)
        {
            foreach (OwnershipMethod method in Buffered())
            {
                OwnedBuffer.Create(segment, bytes, OptionsOf(method));
            }
        }

        if (!SegmentTransfer.Send(segment, socket, s_patience))
        {
            throw new IOException("The segment does not lie at the same address in both processes.");
        }

        using var side = new OwnershipSide(segment, control, ours, cpu == readerCpu);
        PeerProtocol.Result(Measure(side));
        side.Order(OwnershipControl.Stop, 0, 0);
        reader.WaitForExit();
    }

    public static void Read(int socketNumber, int cpu, int writerCpu)
    {
        using var socket = new SafeFileHandle(socketNumber, ownsHandle: true);
        PinAll(cpu);
        using Segment segment = SegmentTransfer.Receive(socket, s_patience);
        using var side = new OwnershipSide(segment, segment.Find(0, PartKind.Bytes), socketNumber, cpu == writerCpu);
        side.Serve();
    }

    /// <summary>Methods that have a buffer, in the order of their parts.</summary>
    public static IEnumerable<OwnershipMethod> Buffered() =>
        Enum.GetValues<OwnershipMethod>().Where(m => m > OwnershipMethod.Plain && m != OwnershipMethod.CheckedLocks && (m != OwnershipMethod.GuardedKeys || OwnedBuffer.KeysMissing is null));

    private static OwnedBufferOptions OptionsOf(OwnershipMethod method) => method switch
    {
        OwnershipMethod.GuardedProtect => new() { Level = BufferLevel.Guarded, Means = GuardMeans.Protect },
        OwnershipMethod.GuardedMove => new() { Level = BufferLevel.Guarded, Means = GuardMeans.Move },
        OwnershipMethod.GuardedKeys => new() { Level = BufferLevel.GuardedByKeys },
        _ => new(),
    };

    private static Dictionary<string, double> Measure(OwnershipSide side)
    {
        OwnershipMethod[] methods = [OwnershipMethod.Classic, OwnershipMethod.Socket, OwnershipMethod.Plain, OwnershipMethod.CheckedLocks, .. Buffered()];
        Dictionary<string, double> medians = [];
        for (int size = 0; size < OwnershipFigures.Sizes.Length; size++)
        {
            Dictionary<OwnershipMethod, List<double>> samples = methods.ToDictionary(m => m, _ => new List<double>());
            Dictionary<OwnershipMethod, int> rounds = [];
            foreach (OwnershipMethod method in methods)
            {
                _ = side.Batch(method, size, LeastRounds);       // warms up: pages, code
                rounds[method] = (int)Math.Clamp(s_batch.TotalNanoseconds / side.Batch(method, size, 20), LeastRounds, MostRounds);
                WarmUp(side, method, size, rounds[method]);
            }

            for (int batch = 0; batch < Batches; batch++)        // in turns, so that all see the same machine
            {
                foreach (OwnershipMethod method in methods)
                {
                    samples[method].Add(side.Batch(method, size, rounds[method]));
                }

                PeerProtocol.Progress((size + (batch + 1.0) / Batches) / OwnershipFigures.Sizes.Length);
            }

            foreach (OwnershipMethod method in methods)
            {
                medians[$"{method}_{OwnershipFigures.Sizes[size].Name}"] = Statistics.Median(samples[method]);
            }
        }

        return medians;
    }

    /// <summary>
    /// Until a way no longer gets faster. The classic way does so for long: it takes fresh pages each time, and on a machine that has not used all of its memory the first use of each costs
    /// the hypervisor's time as well; once enough have gone round, it is given pages that were used before.
    /// </summary>
    private static void WarmUp(OwnershipSide side, OwnershipMethod method, int size, int rounds)
    {
        double best = double.MaxValue;
        for (int batch = 0, slower = 0; batch < MostWarmUps && slower < SlowerInARow; batch++)
        {
            double ns = side.Batch(method, size, rounds);
            slower = ns < best * Faster ? 0 : slower + 1;
            best = Math.Min(best, ns);
        }
    }

    /// <summary>All threads: those of the runtime too, so that no CPU but one knows this process's mappings.</summary>
    private static void PinAll(int cpu)
    {
        foreach (string task in Directory.EnumerateDirectories("/proc/self/task"))
        {
            _ = Sys.SchedSetAffinity(int.Parse(Path.GetFileName(task), CultureInfo.InvariantCulture), 1ul << cpu);
        }
    }
}
