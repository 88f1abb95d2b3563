using System.Globalization;
using System.Runtime.InteropServices;
using Rpal.Memory.Buffers;
using Rpal.Memory.Parties;
using Rpal.Memory.Segments;

namespace Rpal.MemoryPeer.Roles;

/// <summary>Owned buffers as the other process uses them.</summary>
internal static unsafe class BufferRoles
{
    /// <summary>Parties of a stress test, the test itself with them: whoever hands over guesses among these numbers.</summary>
    private const int StressParties = 9;

    public static void Add(Dictionary<string, Func<Peer, int>> roles)
    {
        roles.Add("buffer-steps", Steps);
        roles.Add("buffer-stress", Stress);
        roles.Add("buffer-outside", Outside);
        roles.Add("buffer-echo", Echo);
        roles.Add("buffer-hostile", Hostile);
    }

    /// <summary>Does what its words say with the segment's first part, saying each step when it is done, and stays.</summary>
    private static int Steps(Peer peer)
    {
        using Segment segment = peer.Receive(requireSharedAddress: false);
        OwnedBuffer buffer = OwnedBuffer.Open(segment, 0);
        Peer.Say($"open as {segment.Self.Number}");
        foreach (string word in peer.Words)
        {
            string[] step = word.Split(':');
            BufferStatus status = Step(segment, buffer, step[0], step.Length > 1 ? int.Parse(step[1], CultureInfo.InvariantCulture) : 0);
            Peer.Say($"{word}: {status}");
        }

        return Peer.Stay();
    }

    private static BufferStatus Step(Segment segment, OwnedBuffer buffer, string step, int number)
    {
        switch (step)
        {
            case "read":
                BufferStatus status = buffer.LockRead(Peer.Patience, out ReadLease read);
                read.Dispose();
                return status;
            case "write":
                status = buffer.LockWrite(Peer.Patience, out WriteLease write);
                BufferContent.Fill(write.Bytes, (ulong)number);
                write.Dispose();
                return status;
            case "accept":
                status = buffer.Accept(Peer.Patience, out write);
                BufferContent.Fill(write.Bytes, (ulong)number);
                write.Dispose();
                return status;
            case "handover":
                status = buffer.LockWrite(Peer.Patience, out write);
                BufferContent.Fill(write.Bytes, (ulong)number);
                return status == BufferStatus.Taken ? write.HandOver(segment.Parties.Find(number)!.Value) : status;
            case "hold-read":
                return buffer.LockRead(Peer.Patience, out _);
            case "hold-write":
                return buffer.LockWrite(Peer.Patience, out _);
            case "sweep":
                for (long until = Environment.TickCount64 + (long)Peer.Patience.TotalMilliseconds; segment.Sweep() == 0 && Environment.TickCount64 < until;)
                {
                    Thread.Sleep(1);                             // until somebody has died
                }

                return BufferStatus.Released;
            default:
                throw new ArgumentException(step);
        }
    }

    /// <summary>Words: milliseconds, seed. Everything at random, until the time is over or the first byte of part 1 is not zero.</summary>
    private static int Stress(Peer peer)
    {
        using Segment segment = peer.Receive(requireSharedAddress: false);
        OwnedBuffer buffer = OwnedBuffer.Open(segment, 0);
        var random = new Random(peer.Number(1));
        long until = Environment.TickCount64 + peer.Number(0), reads = 0, torn = 0, writes = 0, accepted = 0, bad = 0;
        byte* stop = segment.Find(1, PartKind.Bytes).Address;
        Peer.Say("stress begins");
        while (Environment.TickCount64 < until && Volatile.Read(ref *stop) == 0)
        {
            if (buffer.TryAccept(out WriteLease write) == BufferStatus.Taken)
            {
                bad += !write.IsTorn && !BufferContent.IsWhole(write.Bytes) ? 1 : 0;
                BufferContent.Fill(write.Bytes, (ulong)random.NextInt64());
                write.Dispose();
                accepted++;
            }

            bool wait = random.Next(2) == 0;
            TimeSpan patience = TimeSpan.FromMilliseconds(wait ? random.Next(50) : 0);
            switch (random.Next(10))
            {
                case < 5:
                    if (buffer.LockRead(patience, out ReadLease read, alone: random.Next(4) == 0) == BufferStatus.Taken)
                    {
                        bad += !read.IsTorn && !BufferContent.IsWhole(read.Bytes) ? 1 : 0;
                        (reads, torn) = (reads + 1, torn + (read.IsTorn ? 1 : 0));
                        read.Dispose();
                    }

                    break;
                case < 9:
                    if (buffer.LockWrite(patience, out write) == BufferStatus.Taken)
                    {
                        bad += !write.IsTorn && !BufferContent.IsWhole(write.Bytes) ? 1 : 0;
                        BufferContent.Fill(write.Bytes, (ulong)random.NextInt64());
                        write.Dispose();
                        writes++;
                    }

                    break;
                default:
                    if (segment.Parties.Find(random.Next(1, StressParties)) is Party to && to != segment.Self && buffer.LockWrite(patience, out write) == BufferStatus.Taken)
                    {
                        BufferContent.Fill(write.Bytes, (ulong)random.NextInt64());
                        _ = write.HandOver(to);
                        write.Dispose();
                        writes++;
                    }

                    break;
            }
        }

        Peer.Say($"stress ends: {bad} bad, {buffer.CorruptCount} corrupt, {reads} reads, {torn} torn, {writes} writes, {accepted} accepted");
        return bad == 0 ? 0 : 1;
    }

    /// <summary>Words: read or write, and how: uses a lease as it should, then touches the bytes outside or against it.</summary>
    private static int Outside(Peer peer)
    {
        using Segment segment = peer.Receive(requireSharedAddress: false);
        OwnedBuffer buffer = OwnedBuffer.Open(segment, 0);
        if (buffer.TryLockWrite(out WriteLease write) == BufferStatus.Taken)
        {
            BufferContent.Fill(write.Bytes, 7);
            write.Dispose();
        }

        byte* bytes;
        if (buffer.TryLockRead(out ReadLease read) == BufferStatus.Taken)
        {
            using (read)
            {
                bytes = (byte*)Unsafe(read.Bytes) + buffer.LengthBytes / 2;
                Peer.Say($"inside: {BufferContent.IsWhole(read.Bytes)}, {buffer.Means}");
                if (peer.Words[0] == "write-under-read")
                {
                    *bytes = 1;
                }
            }
        }
        else
        {
            bytes = segment.Find(0, PartKind.OwnedBuffer).Address;
        }

        Peer.Say(ThrowsAsBefore() ? "a null reference is still an exception" : "a null reference was nothing");
        if (peer.Words[0] == "read")
        {
            Peer.Say($"read {*bytes}");
        }
        else
        {
            *bytes = 1;
        }

        Peer.Say("survived");
        return 0;
    }

    /// <summary>Accepts what is handed over, adds one to the first byte and hands it back to party 0, so many times.</summary>
    private static int Echo(Peer peer)
    {
        using Segment segment = peer.Receive(requireSharedAddress: false);
        OwnedBuffer buffer = OwnedBuffer.Open(segment, 0);
        Party to = segment.Parties.Find(0)!.Value;
        Peer.Say($"open as {segment.Self.Number}");
        for (int i = 0; i < peer.Number(0); i++)
        {
            if (buffer.Accept(Peer.Patience, out WriteLease lease) != BufferStatus.Taken)
            {
                Peer.Say($"nothing came for round {i}: {buffer.DescribeHolder()}");
                return 1;
            }

            lease.Bytes[0]++;
            _ = lease.HandOver(to);
        }

        Peer.Say("echoed");
        return Peer.Stay();
    }

    /// <summary>Words: milliseconds. Writes random words over the first part's header, at random places and times.</summary>
    private static int Hostile(Peer peer)
    {
        using Segment segment = peer.Receive(requireSharedAddress: false);
        Part part = segment.Find(0, PartKind.OwnedBuffer);
        byte* header = part.Address + part.LengthBytes - BufferHeader.AreaBytes;
        var random = new Random(5);
        long until = Environment.TickCount64 + peer.Number(0), written = 0;
        Peer.Say("hostile begins");
        while (Environment.TickCount64 < until)
        {
            int at = random.Next(4) == 0 ? BufferHeader.WordOffset : random.Next(BufferHeader.SizeBytes / 8) * 8;
            ulong word = random.Next(4) switch { 0 => 0, 1 => 1ul << random.Next(64), _ => (ulong)random.NextInt64(long.MinValue, long.MaxValue) };
            Volatile.Write(ref *(ulong*)(header + at), word);
            written++;
            Thread.SpinWait(random.Next(200));
        }

        Peer.Say($"hostile wrote {written} words");
        return 0;
    }

    private static void* Unsafe(ReadOnlySpan<byte> bytes) => System.Runtime.CompilerServices.Unsafe.AsPointer(ref MemoryMarshal.GetReference(bytes));

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

    private static string Nothing() => Environment.GetEnvironmentVariable("RPAL_NO_SUCH_VARIABLE")!;
}
