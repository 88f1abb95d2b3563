using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Rpal.Memory.Blocks;
using Rpal.Memory.Buffers;
using Rpal.Memory.Parties;
using Rpal.Memory.Segments;

namespace Rpal.TestMember.Scenarios;

/// <summary>Segments, owned buffers and pools between two members: one makes them and passes them over a socket, the other has the second part.</summary>
internal static unsafe class Buffers
{
    private const int Fill = 1, Outside = 2, Stop = 3;
    private const int Rounds = 2000;

    private static OwnedBuffer s_buffer = null!;
    private static byte* s_bytes;

    public static void Add(Dictionary<string, Func<string[], int>> scenarios)
    {
        scenarios.Add("buffers-give", args => Give(args[0], Enum.Parse<BufferLevel>(args[1]), int.Parse(args[2])));
        scenarios.Add("buffers-echo", args => Echo(args[0]));
        scenarios.Add("buffers-offend", args => Offend(args[0], args[1]));
        scenarios.Add("buffers-hold", args => Hold(args[0]));
        scenarios.Add("buffers-outlive", args => Outlive(args[0], Enum.Parse<BufferLevel>(args[1]), int.Parse(args[2]), isTorn: args[3] == "torn"));
        scenarios.Add("buffers-serve", args => Serve(args[0]));
        scenarios.Add("buffers-compute", args => Compute(args[0]));
        scenarios.Add("buffers-send-into-compute", _ => SendIntoCompute());
        scenarios.Add("buffers-watch", args => Watch(args[0]));
        scenarios.Add("buffers-call", args => Call(args[0], int.Parse(args[1])));
    }

    /// <summary>Makes a segment with a buffer and a pool, and hands it to whoever comes.</summary>
    private static Segment Make(string path, BufferLevel level, int length, out OwnedBuffer buffer, out BlockPool pool)
    {
        Segment segment = Segment.Create(16 << 20);
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        buffer = OwnedBuffer.Create(segment, length, new OwnedBufferOptions { Level = level });
        pool = BlockPool.Create(segment, new BlockPoolOptions { BlockBytes = 4096, BlockCount = 64 });
        using Socket peer = listener.Accept();
        Check.That(!SegmentTransfer.Send(segment, peer.SafeHandle, Check.Patience), "two members have it at the same address");
        return segment;
    }

    private static Segment Receive(string path)
    {
        Check.Comes(() => File.Exists(path));
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        Check.Comes(() => Connects(socket, path));
        return SegmentTransfer.Receive(socket.SafeHandle, Check.Patience);
    }

    private static bool Connects(Socket socket, string path)
    {
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(path));
            return true;
        }
        catch (SocketException)
        {
            return false;                                        // bound, and does not listen yet
        }
    }

    /// <summary>Attached, so that the family's trampoline stands before every handler.</summary>
    private static void Attach() => _ = RpalService.Register($"attached-{Environment.ProcessId}", new ServiceOptions { Receivers = 1 });

    private static int Give(string path, BufferLevel level, int length)
    {
        Attach();
        using Segment segment = Make(path, level, length, out OwnedBuffer buffer, out BlockPool pool);
        Party? to = null;
        Check.Comes(() => (to = segment.Parties.Find(1)) is not null);
        Check.Equal(BufferStatus.Taken, buffer.TryLockWrite(out WriteLease lease));
        for (int i = 0; i < Rounds; i++)
        {
            byte value = (byte)i;
            lease.Bytes.Fill(value);
            Check.Equal(BufferStatus.HandedOver, lease.HandOver(to!.Value));
            Check.Equal(BufferStatus.Taken, buffer.Accept(Check.Patience, out lease));
            Check.Equal(-1, lease.Bytes.IndexOfAnyExcept((byte)(value + 1)));
            if (i % 100 == 0)
            {
                Check.That(ThrowsAsBefore(), "a null reference is no exception any more");
            }
        }

        // A block for each of the other's answers.
        Check.Equal(BlockStatus.Done, pool.TryReserve(out BlockLease block));
        block.Bytes.Fill(5);
        Check.Equal(BlockStatus.Done, pool.TryOffer(block.Commit(), 100, to!.Value, out BlockReference reference));
        MemoryMarshal.Write(lease.Bytes, in reference);
        Check.Equal(BufferStatus.HandedOver, lease.HandOver(to.Value));
        Check.Equal(BufferStatus.Taken, buffer.Accept(Check.Patience, out lease));
        lease.Dispose();
        Check.Equal(0L, buffer.CorruptCount);
        return 0;
    }

    private static int Echo(string path)
    {
        Attach();
        using Segment segment = Receive(path);
        OwnedBuffer buffer = OwnedBuffer.Open(segment, 0);
        BlockPool pool = BlockPool.Open(segment, 1);
        Party to = segment.Parties.Find(0)!.Value;
        WriteLease lease;
        for (int i = 0; i < Rounds; i++)
        {
            Check.Equal(BufferStatus.Taken, buffer.Accept(Check.Patience, out lease));
            byte value = lease.Bytes[^1];
            lease.Bytes.Fill((byte)(value + 1));
            Check.Equal(BufferStatus.HandedOver, lease.HandOver(to));
        }

        Check.Equal(BufferStatus.Taken, buffer.Accept(Check.Patience, out lease));
        BlockReference reference = MemoryMarshal.Read<BlockReference>(lease.Bytes);
        Check.Equal(BlockStatus.Done, pool.TryAcceptBlock(reference, out Block block));
        Check.Equal(BlockStatus.Done, pool.TryGetBytes(block, out Span<byte> bytes));
        Check.Equal((byte)5, bytes[99]);
        Check.Equal(BlockStatus.Done, pool.Free(block));
        Check.Equal(BufferStatus.HandedOver, lease.HandOver(to));
        return 0;
    }

    /// <summary>Uses a lease, then touches the bytes outside; as "own" does: by itself.</summary>
    private static int Offend(string path, string access)
    {
        Attach();
        Segment segment = Receive(path);
        s_buffer = OwnedBuffer.Open(segment, 0);
        Check.Equal(BufferStatus.Taken, s_buffer.TryLockWrite(out WriteLease lease));
        s_bytes = (byte*)Unsafe.AsPointer(ref lease.Bytes[0]);
        lease.Bytes.Fill(9);
        lease.Dispose();
        Check.That(ThrowsAsBefore());
        Console.WriteLine("now");
        if (access == "read")
        {
            Console.WriteLine($"read {*s_bytes}");
        }
        else
        {
            *s_bytes = 1;
        }

        Console.WriteLine("survived");
        return 0;
    }

    private static int Hold(string path)
    {
        Attach();
        Segment segment = Receive(path);
        OwnedBuffer buffer = OwnedBuffer.Open(segment, 0);
        Check.Equal(BufferStatus.Taken, buffer.TryLockWrite(out WriteLease lease));
        lease.Bytes.Fill(9);
        Console.WriteLine("holds");
        Thread.Sleep(Timeout.Infinite);
        return 0;
    }

    /// <summary>Has the buffer again after the other member's end, in time.</summary>
    private static int Outlive(string path, BufferLevel level, int length, bool isTorn)
    {
        Attach();
        using Segment segment = Make(path, level, length, out OwnedBuffer buffer, out _);
        Check.Comes(() => segment.Parties.Find(1) is not null);
        Party other = segment.Parties.Find(1)!.Value;
        Check.Comes(() => !segment.IsAlive(other));
        Check.Equal(BufferStatus.Taken, buffer.LockWrite(Check.Patience, out WriteLease lease));
        Check.Equal(isTorn, lease.IsTorn);
        Check.Equal((byte)9, lease.Bytes[0]);
        lease.Dispose();
        Check.That(ThrowsAsBefore());
        return 0;
    }

    /// <summary>A service whose handlers use a guarded buffer: executed by the caller's kernel threads.</summary>
    private static int Serve(string path)
    {
        using var stop = new ManualResetEventSlim();
        RpalService service = RpalService.Register("buffers", new ServiceOptions { Receivers = 1 });
        using Segment segment = Receive(path);
        s_buffer = OwnedBuffer.Open(segment, 0);
        service.Handle<long, long>(Fill, static (in q, ref a) =>
        {
            a = (long)s_buffer.LockWrite(Check.Patience, out WriteLease lease);
            s_bytes = lease.Bytes.IsEmpty ? null : (byte*)Unsafe.AsPointer(ref lease.Bytes[0]);
            lease.Bytes.Fill((byte)q);
            lease.Dispose();
            a = ThrowsAsBefore() ? a : -1;
        });
        service.Handle<long, long>(Outside, static (in q, ref a) => a = *s_bytes = (byte)q);
        service.Handle(Stop, (_, ref _) => stop.Set());
        service.Enable();
        Check.Stops(stop);
        service.DisposeAsync().AsTask().GetAwaiter().GetResult();
        return 0;
    }

    private static int Call(string path, int length)
    {
        using Segment segment = Make(path, BufferLevel.Guarded, length, out OwnedBuffer buffer, out _);
        RpalConnection service = Calls.Connect("buffers");
        long answer = 0;
        for (int i = 0; i < Rounds; i++)
        {
            Check.Equal(CallStatus.Answered, service.Call(Fill, (long)i, ref answer, Calls.Soon));
            Check.Equal((long)BufferStatus.Taken, answer);
            Check.Equal(BufferStatus.Taken, buffer.LockRead(Check.Patience, out ReadLease lease));
            Check.Equal(-1, lease.Bytes.IndexOfAnyExcept((byte)i));
            lease.Dispose();
        }

        Check.That(ThrowsAsBefore());
        Check.Equal(CallStatus.PeerDied, service.Call(Outside, 1L, ref answer, Calls.Soon));
        Check.Equal(BufferStatus.Taken, buffer.LockWrite(Check.Patience, out WriteLease last));
        Check.That(!last.IsTorn);
        Check.Equal(unchecked((byte)(Rounds - 1)), last.Bytes[0]);
        last.Dispose();
        return 0;
    }

    /// <summary>A service whose handler counts in part 2 under a write lease, for ever: on its caller's kernel thread.</summary>
    private static int Compute(string path)
    {
        RpalService service = RpalService.Register("compute", new ServiceOptions { Receivers = 1 });
        Segment segment = Make(path, BufferLevel.Checked, 4096, out s_buffer, out _);
        s_bytes = segment.AddBytes(sizeof(long)).Address;
        service.Handle<long, long>(Fill, static (in q, ref a) =>
        {
            Check.Equal(BufferStatus.Taken, s_buffer.TryLockWrite(out WriteLease lease));
            for (long step = 1; step < q; step++)
            {
                Volatile.Write(ref *(long*)s_bytes, step);
            }

            lease.Dispose();
        });
        service.Enable();
        Thread.Sleep(Timeout.Infinite);
        return 0;
    }

    private static int SendIntoCompute()
    {
        RpalConnection service = Calls.Connect("compute");
        long answer = 0;
        for (int i = 0; i < 200; i++)                            // from then on calls switch threads in user mode
        {
            Check.Equal(CallStatus.Answered, service.Call(Fill, 2L, ref answer, Calls.Soon));
            Thread.Sleep(2);
        }

        Check.Equal(CallStatus.PeerDied, service.Call(Fill, long.MaxValue, ref answer, Deadline.Never));
        return 0;
    }

    /// <summary>Has the buffer, torn, when its writer is dead and none of the writer's steps is made any more. Also outside the
    /// family.</summary>
    private static int Watch(string path)
    {
        Segment segment = Receive(path);
        Check.Comes(() => segment.PartCount == 3);
        long* steps = (long*)segment.Find(2, PartKind.Bytes).Address;
        Check.Comes(() => Volatile.Read(ref *steps) > 1000);
        OwnedBuffer buffer = OwnedBuffer.Open(segment, 0);
        WriteLease lease;
        int looks = 0;
        Rehearse();
        for (long until = Environment.TickCount64 + (long)Check.Patience.TotalMilliseconds; buffer.TryLockWrite(out lease) != BufferStatus.Taken; looks++)
        {
            Check.That(Environment.TickCount64 < until, "the lease did not come");
            segment.Sweep();
            if (looks == 1000)
            {
                File.WriteAllText(path + ".watched", "");
            }
        }

        long last = Volatile.Read(ref *steps);
        for (long until = Environment.TickCount64 + 1000; Environment.TickCount64 < until;)
        {
            Check.Equal(last, Volatile.Read(ref *steps));
        }

        Check.That(lease.IsTorn);
        return 0;
    }

    /// <summary>Takes a lease over from one that has left: all of it is compiled when the host is stopped and maps nothing for
    /// anybody.</summary>
    private static void Rehearse()
    {
        using Segment segment = Segment.Create(1 << 20);
        OwnedBuffer buffer = OwnedBuffer.Create(segment, 4096);
        BlockPool.Create(segment, new BlockPoolOptions { BlockBytes = 4096, BlockCount = 64 });
        Segment leaving = Segment.Open(segment.File);
        Check.Equal(BufferStatus.Taken, OwnedBuffer.Open(leaving, 0).TryLockWrite(out _));
        leaving.Dispose();
        segment.Sweep();
        Check.Equal(BufferStatus.Taken, buffer.TryLockWrite(out WriteLease lease));
        Check.That(lease.IsTorn);
        Check.Equal(0L, 0L);
        lease.Dispose();
    }

    private static bool ThrowsAsBefore()
    {
        try
        {
            return Nothing().Length > 100;
        }
        catch (NullReferenceException)
        {
            return true;
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static string Nothing() => Environment.GetEnvironmentVariable("RPAL_NO_SUCH_VARIABLE")!;
}
