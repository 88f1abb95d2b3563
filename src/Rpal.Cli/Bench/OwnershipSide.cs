using System.Diagnostics;
using System.Numerics;
using System.Runtime.InteropServices;
using Rpal.Linux;
using Rpal.Memory.Buffers;
using Rpal.Memory.Parties;
using Rpal.Memory.Segments;

namespace Rpal.Cli.Bench;

/// <summary>One of the two processes that hand bytes over. Both spin, so that no way pays for sleeping; after a while, or on one CPU, they yield.</summary>
internal sealed unsafe class OwnershipSide : IDisposable
{
    private const int SpinsBeforeYield = 2_000;
    private const int Seals = FileSeals.Shrink | FileSeals.Grow | FileSeals.Write;

    private static readonly long s_patienceTicks = 30 * Stopwatch.Frequency;

    private readonly OwnershipControl* _control;
    private readonly int _socket;
    private readonly bool _sameCpu;
    private readonly Segment _segment;
    private readonly Dictionary<(OwnershipMethod, int), OwnedBuffer> _buffers = [];
    private readonly nint[] _plain = new nint[OwnershipFigures.Sizes.Length];
    private readonly byte* _copy;
    private ulong _round;
    private uint _order;

    public OwnershipSide(Segment segment, Part control, int socket, bool sameCpu)
    {
        (_segment, _socket, _sameCpu) = (segment, socket, sameCpu);
        _control = (OwnershipControl*)control.Address;
        _copy = (byte*)NativeMemory.AlignedAlloc((nuint)OwnershipFigures.Sizes[^1].Bytes, 4096);
        int part = control.Index;
        for (int size = 0; size < OwnershipFigures.Sizes.Length; size++)
        {
            foreach (OwnershipMethod method in OwnershipRoles.Buffered())
            {
                _buffers[(method, size)] = OwnedBuffer.Open(segment, ++part);
            }

            _plain[size] = (nint)segment.Find(_buffers[(OwnershipMethod.Checked, size)].PartIndex, PartKind.OwnedBuffer).Address;
            _buffers[(OwnershipMethod.CheckedLocks, size)] = _buffers[(OwnershipMethod.Checked, size)];
        }
    }

    /// <summary>Sum of what was read: keeps the reads from being left out.</summary>
    public ulong Sum { get; private set; }

    public void Dispose() => NativeMemory.AlignedFree(_copy);

    /// <summary>Has the reader do its side.</summary>
    public void Order(int method, int size, int rounds)
    {
        (_control->Method, _control->Size, _control->Rounds) = (method, size, rounds);
        Volatile.Write(ref _control->Order, ++_order);           // SYNC bench-order: pairs with Serve
    }

    /// <summary>The writer's side of some transfers.</summary>
    /// <returns>Nanoseconds of one: the median, which leaves out those in which another program had the CPU.</returns>
    public double Batch(OwnershipMethod method, int size, int rounds)
    {
        Order((int)method, size, rounds);
        int bytes = OwnershipFigures.Sizes[size].Bytes;
        OwnedBuffer? buffer = _buffers.GetValueOrDefault((method, size));
        Party reader = _segment.Parties.Find(1)!.Value;
        uint[] ticks = new uint[rounds];
        long last = Stopwatch.GetTimestamp();
        switch (method)
        {
            case OwnershipMethod.Classic:
                for (int i = 0; i < rounds; i++)
                {
                    SendFile(bytes);
                    AwaitReceived();
                    Took(i);
                }

                break;
            case OwnershipMethod.Socket:
                for (int i = 0; i < rounds; i++)
                {
                    Fill(new Span<byte>(_copy, bytes));
                    SendCopy(bytes);
                    AwaitReceived();
                    Took(i);
                }

                break;
            case OwnershipMethod.Plain:
                for (int i = 0; i < rounds; i++)
                {
                    Fill(new Span<byte>((void*)_plain[size], bytes));
                    Volatile.Write(ref _control->Sent, _round + 1);
                    AwaitReceived();
                    Took(i);
                }

                break;
            case OwnershipMethod.CheckedLocks:
                for (int i = 0; i < rounds; i++)
                {
                    Require(buffer!.TryLockWrite(out WriteLease lease));
                    Fill(lease.Bytes);
                    lease.Unlock();
                    Volatile.Write(ref _control->Sent, _round + 1);
                    AwaitReceived();
                    Took(i);
                }

                break;
            default:
                Require(buffer!.TryLockWrite(out WriteLease write));
                for (int i = 0; i < rounds; i++)
                {
                    Fill(write.Bytes);
                    write.HandOver(reader);
                    Accept(buffer, out write);
                    Took(i);
                }

                write.Unlock();
                break;
        }

        return Statistics.Of(ticks).P50 * 1e9 / Stopwatch.Frequency;

        void Took(int i)
        {
            long now = Stopwatch.GetTimestamp();
            ticks[i] = (uint)Math.Min(now - last, uint.MaxValue);
            last = now;
        }
    }

    /// <summary>The reader's side, until it is told to stop.</summary>
    public void Serve()
    {
        Party writer = _segment.Parties.Find(0)!.Value;
        while (true)
        {
            for (Wait wait = new(this); Volatile.Read(ref _control->Order) == _order; wait.Turn())      // SYNC bench-order: pairs with Order
            {
            }

            _order++;
            if (_control->Method == OwnershipControl.Stop)
            {
                return;
            }

            ServeBatch((OwnershipMethod)_control->Method, _control->Size, _control->Rounds, writer);
        }
    }

    private void ServeBatch(OwnershipMethod method, int size, int rounds, Party writer)
    {
        int bytes = OwnershipFigures.Sizes[size].Bytes;
        OwnedBuffer? buffer = _buffers.GetValueOrDefault((method, size));
        for (int i = 0; i < rounds; i++)
        {
            switch (method)
            {
                case OwnershipMethod.Classic:
                    ReceiveFile(bytes);
                    break;
                case OwnershipMethod.Socket:
                    ReceiveCopy(bytes);
                    Take(new ReadOnlySpan<byte>(_copy, bytes));
                    break;
                case OwnershipMethod.Plain:
                    AwaitSent();
                    Take(new ReadOnlySpan<byte>((void*)_plain[size], bytes));
                    break;
                case OwnershipMethod.CheckedLocks:
                    AwaitSent();
                    Require(buffer!.TryLockRead(out ReadLease read));
                    Take(read.Bytes);
                    read.Unlock();
                    break;
                default:
                    Accept(buffer!, out WriteLease write);
                    Take(write.Bytes);
                    write.HandOver(writer);
                    continue;
            }

            Volatile.Write(ref _control->Received, ++_round);
        }
    }

    private void AwaitSent()
    {
        for (Wait wait = new(this); Volatile.Read(ref _control->Sent) != _round + 1; wait.Turn())
        {
        }
    }

    private void AwaitReceived()
    {
        _round++;
        for (Wait wait = new(this); Volatile.Read(ref _control->Received) != _round; wait.Turn())
        {
        }
    }

    private void Accept(OwnedBuffer buffer, out WriteLease lease)
    {
        for (Wait wait = new(this); buffer.TryAccept(out lease) != BufferStatus.Taken; wait.Turn())
        {
        }
    }

    private void SendFile(int bytes)
    {
        int fd = Require(Sys.MemfdCreate("classic"u8, MemfdFlags.CloseOnExec | MemfdFlags.AllowSealing));
        Require(Sys.Ftruncate(fd, bytes));
        nint at = Require(Sys.Mmap(0, (nuint)bytes, Prot.Read | Prot.Write, MapFlags.Shared, fd, 0));
        Fill(new Span<byte>((void*)at, bytes));
        Require(Sys.Munmap(at, (nuint)bytes));
        Require(Sys.AddSeals(fd, Seals));
        Require(Sys.SendDescriptors(_socket, [1], [fd]));
        Require(Sys.Close(fd));
    }

    private void ReceiveFile(int bytes)
    {
        Span<byte> one = stackalloc byte[1];
        Span<int> descriptor = stackalloc int[1];
        nint n;
        Wait wait = new(this);
        while ((n = Sys.ReceiveDescriptors(_socket, one, descriptor, out _, out _)) == -(int)Errno.EAGAIN)
        {
            wait.Turn();
        }

        Require(n);
        nint at = Sys.Mmap(0, (nuint)bytes, Prot.Read, MapFlags.Shared, descriptor[0], 0);
        at = at < 0 ? Require(Sys.Mmap(0, (nuint)bytes, Prot.Read, MapFlags.Private, descriptor[0], 0)) : at;       // kernels before 6.7 refuse a shared mapping of what is sealed
        Take(new ReadOnlySpan<byte>((void*)at, bytes));
        Require(Sys.Munmap(at, (nuint)bytes));
        Require(Sys.Close(descriptor[0]));
    }

    private void SendCopy(int bytes)
    {
        Wait wait = new(this);
        for (int done = 0; done < bytes;)
        {
            nint n = Sys.Write(_socket, _copy + done, (nuint)(bytes - done));
            if (n == -(int)Errno.EAGAIN)
            {
                wait.Turn();
                continue;
            }

            done += (int)Require(n);
        }
    }

    private void ReceiveCopy(int bytes)
    {
        Wait wait = new(this);
        for (int done = 0; done < bytes;)
        {
            nint n = Sys.Read(_socket, _copy + done, (nuint)(bytes - done));
            if (n == -(int)Errno.EAGAIN)
            {
                wait.Turn();
                continue;
            }

            done += (int)Require(n);
        }
    }

    private void Fill(Span<byte> bytes) => bytes.Fill((byte)_round);

    private void Take(ReadOnlySpan<byte> bytes)
    {
        Vector<ulong> a = default, b = default;
        ReadOnlySpan<Vector<ulong>> words = MemoryMarshal.Cast<byte, Vector<ulong>>(bytes);
        for (int i = 0; i + 1 < words.Length; i += 2)
        {
            a += words[i];
            b += words[i + 1];
        }

        Sum += Vector.Sum(a + b);
    }

    private static void Require(BufferStatus status)
    {
        if (status != BufferStatus.Taken)
        {
            throw new IOException($"The buffer is not to be had: {status}.");
        }
    }

    private static int Require(int result) => (int)Require((nint)result);

    private static nint Require(nint result) => result < 0 ? throw new IOException($"A system call of the benchmark: {ErrnoText.Describe((int)result)}.") : result;

    /// <summary>Spinning with a bound: yields after a while, gives up after long.</summary>
    private struct Wait(OwnershipSide side)
    {
        private readonly bool _sameCpu = side._sameCpu;
        private int _turns;
        private long _begin;

        public void Turn()
        {
            if (!_sameCpu && ++_turns < SpinsBeforeYield)
            {
                Thread.SpinWait(1);
                return;
            }

            _ = Thread.Yield();
            _begin = _begin == 0 ? Stopwatch.GetTimestamp() : _begin;
            if (Stopwatch.GetTimestamp() - _begin > s_patienceTicks)
            {
                throw new TimeoutException("The benchmark's other process does not answer.");
            }
        }
    }
}
