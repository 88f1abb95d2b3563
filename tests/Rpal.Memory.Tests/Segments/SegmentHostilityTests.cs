using Rpal.Memory.Blocks;
using Rpal.Memory.Buffers;
using Rpal.Memory.PerCpu;
using Rpal.Memory.Segments;
using Rpal.Memory.Waiting;

namespace Rpal.Memory.Tests.Segments;

/// <summary>Another process writes over a whole segment, the tables of parts and parties too, while this one uses, opens, adds and recovers all kinds of parts.</summary>
/// <remarks>A few seconds; a minute with RPAL_LONG=1.</remarks>
public sealed unsafe class SegmentHostilityTests
{
    private const long Length = 4 << 20;
    private const int GuardedBytes = 8192;
    private static readonly int s_ms = Long.Choose(5000, 60_000);

    /// <summary>What may come, and nothing else.</summary>
    private readonly Dictionary<string, int> _seen = [];

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void What_a_hostile_process_writes_gives_errors_and_nothing_else(int seed)
    {
        using var segment = Segment.Create(Length);
        var pool = BlockPool.Create(segment, new BlockPoolOptions { BlockBytes = 256, BlockCount = 64 });
        var guarded = OwnedBuffer.Create(segment, GuardedBytes, new OwnedBufferOptions { Level = BufferLevel.Guarded });
        var plain = OwnedBuffer.Create(segment, 8192);
        SharedSemaphore[] semaphores = SharedSemaphore.CreateMany(segment, 10, limit: 10);
        int seats = SemaphoreSet.CreateSeats(segment, 4, 64);
        using PerCpuCounter counter = PerCpuCounter.Create(segment);
        Part closed = segment.Find(guarded.PartIndex, PartKind.OwnedBuffer);
        byte[] truth = [.. new ReadOnlySpan<byte>(segment.Address, (int)closed.Offset), .. new byte[GuardedBytes],
            .. new ReadOnlySpan<byte>(segment.Address + closed.Offset + GuardedBytes, (int)(Length - closed.Offset) - GuardedBytes)];
        using var peer = PeerProcess.Start("segment-hostile", $"{seed}");
        peer.Send(segment);
        peer.WaitFor("hostile begins");
        var random = new Random(seed);
        long rounds = 0;
        for (long until = Environment.TickCount64 + s_ms; Environment.TickCount64 < until; rounds++)
        {
            if (random.Next(4) == 0)
            {
                Restore(0, Segment.HeaderBytes);                 // the tables; now and then all but what is closed to this process too
            }

            if (random.Next(50) == 0)
            {
                Restore(0, closed.Offset);
                Restore(closed.Offset + GuardedBytes, Length);
            }

            Try("find", () => Use(segment.Find(random.Next(-1, 12), PartKind.Bytes)));
            Try("pool", () => Use(BlockPool.Open(segment, random.Next(12))));
            Try("buffer", () => Use(OwnedBuffer.Open(segment, random.Next(12))));
            Try("semaphore", () => Use(SharedSemaphore.Open(segment, random.Next(12), random.Next(10))));
            Try("set", () => SemaphoreSet.Join(segment, random.Next(12)).Dispose());
            Try("counter", () => PerCpuCounter.Open(segment, random.Next(12)).Add(1));
            Try("add", () => segment.Add(PartKind.Bytes, random.Next(1, 500)));
            Try("again", () => Segment.Open(segment.File).Dispose());
            Try("sweep", () => _ = segment.Sweep());
            Use(pool);
            Use(guarded);
            Use(plain);
            Use(semaphores[random.Next(semaphores.Length)]);
            counter.Add(1);
            _ = segment.Describe(new Parties.Party(random.Next(40), 1));
            _ = segment.IsAlive(new Parties.Party(random.Next(40), (uint)random.Next(3)));
        }

        void Restore(long from, long to) => truth.AsSpan((int)from, (int)(to - from)).CopyTo(new Span<byte>(segment.Address + from, (int)(to - from)));

        peer.Kill();
        Assert.True(rounds > 10, $"{rounds} rounds in {s_ms} ms");
        Assert.True(_seen.Keys.Count(k => k.EndsWith("done", StringComparison.Ordinal)) >= 3 && _seen.Keys.Count(k => k.Contains("NoSuchPart", StringComparison.Ordinal)) >= 3, string.Join(", ", _seen));
    }

    private void Try(string what, Action action)
    {
        string result;
        try
        {
            action();
            result = $"{what} done";
        }
        catch (SegmentException e)
        {
            result = $"{what} {e.Error}";
        }
        catch (OwnedBufferException e)
        {
            result = $"{what} {e.Error}";
        }

        _seen[result] = _seen.GetValueOrDefault(result) + 1;
    }

    private static void Use(Part part) => new Span<byte>(part.Address, (int)part.LengthBytes).Clear();

    private static void Use(BlockPool pool)
    {
        if (pool.TryAllocate(out Block block) == BlockStatus.Done && pool.TryGetBytes(block, out Span<byte> bytes) == BlockStatus.Done)
        {
            bytes.Clear();
        }

        pool.Free(block);
    }

    private static void Use(OwnedBuffer buffer)
    {
        if (buffer.TryLockWrite(out WriteLease lease) == BufferStatus.Taken)
        {
            lease.Bytes.Fill(7);
            lease.Dispose();
        }
    }

    private static void Use(SharedSemaphore semaphore)
    {
        semaphore.Release();
        semaphore.TryWait();
    }
}
