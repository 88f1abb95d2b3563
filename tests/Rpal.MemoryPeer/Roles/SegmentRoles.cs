using Rpal.Memory.Segments;

namespace Rpal.MemoryPeer.Roles;

/// <summary>Segments as the other process sees them.</summary>
internal static unsafe class SegmentRoles
{
    private const int PartBytes = 1000;

    public static void Add(Dictionary<string, Func<Peer, int>> roles)
    {
        roles.Add("hold", Hold);
        roles.Add("occupied", Occupied);
        roles.Add("add-parts", AddParts);
        roles.Add("fill-parts", FillParts);
        roles.Add("segment-hostile", Hostile);
        roles.Add("full-table", FullTable);
    }

    /// <summary>Opens a segment, says where, adds one to its first part's first byte, and stays.</summary>
    private static int Hold(Peer peer)
    {
        using Segment segment = peer.Receive();
        (*segment.Find(0, PartKind.Bytes).Address)++;
        Peer.Say($"open 0x{(long)segment.Address:x} as {segment.Self.Number}");
        return Peer.Stay();
    }

    /// <summary>Adds so many parts as soon as the first part's first byte says so.</summary>
    private static int AddParts(Peer peer)
    {
        using Segment segment = peer.Receive();
        byte* go = segment.Find(0, PartKind.Bytes).Address;
        Peer.Say("open");
        while (Volatile.Read(ref *go) == 0)
        {
            Thread.Yield();
        }

        for (int i = 0; i < peer.Number(0); i++)
        {
            segment.Add(PartKind.Bytes, 500);
        }

        Peer.Say("added");
        return 0;
    }

    /// <summary>Writes all over the segment, its header above all: random words, small ones, and words from elsewhere in it, which make sense where they came from. It is killed.</summary>
    private static int Hostile(Peer peer)
    {
        Segment segment = peer.Receive(requireSharedAddress: false);
        var random = new Random(peer.Number(0));
        var words = new Span<ulong>(segment.Address, (int)(segment.LengthBytes / sizeof(ulong)));
        int header = Segment.HeaderBytes / sizeof(ulong), behindLock = SegmentHeader.PartsOffset / sizeof(ulong);
        Peer.Say("hostile begins");
        while (true)
        {
            int at = random.Next(3) == 0 ? random.Next(words.Length) : random.Next(8) == 0 ? random.Next(behindLock) : random.Next(header);
            words[at] = random.Next(5) switch
            {
                0 => (ulong)random.NextInt64(long.MinValue, long.MaxValue),
                1 => (ulong)random.Next(100),
                2 => (ulong)random.Next(words.Length) * sizeof(ulong),
                3 => (ulong)random.Next(words.Length / 512) * 4096,
                _ => words[random.Next(header)],
            };
            if (random.Next(64) == 0)
            {
                words[SegmentHeader.PartsOffset / sizeof(ulong) - 3] = (ulong)random.Next(12);         // how many parts there are
            }

            Thread.SpinWait(random.Next(8) == 0 ? random.Next(5_000) : 0);         // the test puts the truth back: it is to see mixtures
        }
    }

    /// <summary>Words: how many. Adds parts of ones.</summary>
    private static int FillParts(Peer peer)
    {
        using Segment segment = peer.Receive(requireSharedAddress: false);
        Peer.Say("adds");
        for (int i = 0; i < peer.Number(0); i++)
        {
            _ = segment.Add(PartKind.Bytes, PartBytes, prepare: static part => new Span<byte>(part.Address, PartBytes).Fill(1));
        }

        return 0;
    }

    /// <summary>Receives a segment when no descriptor is free, and once more when some are.</summary>
    private static int FullTable(Peer peer)
    {
        Peer.Say("begins");                                      // what needs descriptors of its own, has them before
        TryReceive(TimeSpan.Zero, "too early");
        List<int> filled = [];
        while (Linux.Sys.DuplicateInherited(1, 3) is var fd and >= 0)
        {
            filled.Add(fd);
        }

        Peer.Say("full");
        TryReceive(Peer.Patience, "with no descriptor free");
        filled.ForEach(fd => Linux.Sys.Close(fd));
        using Segment segment = peer.Receive();
        Peer.Say($"open as {segment.Self.Number}");
        return 0;

        void TryReceive(TimeSpan patience, string how)
        {
            try
            {
                SegmentTransfer.Receive(peer.Socket, patience).Dispose();
            }
            catch (SegmentException e)
            {
                Peer.Say($"{how}: {e.Error}: {e.Message}");
            }
        }
    }

    /// <summary>Has something else at all addresses that segments can have, but for a hole.</summary>
    private static int Occupied(Peer peer)
    {
        long hole = Convert.ToInt64(peer.Words[0], 16), size = Convert.ToInt64(peer.Words[1], 16);
        Occupy(SegmentAddress.Lowest, hole);
        Occupy(hole + size, SegmentAddress.End);
        try
        {
            using Segment segment = peer.Receive();
            Peer.Say($"open 0x{(long)segment.Address:x}");
        }
        catch (SegmentException e)
        {
            Peer.Say($"{e.Error}: {e.Message}");
        }

        return 0;
    }

    private static void Occupy(long begin, long end)
    {
        const int noReserve = 0x4022;                            // MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        if (end > begin && Linux.Sys.Mmap((nint)begin, (nuint)(end - begin), 0, noReserve, -1, 0) != begin)
        {
            throw new InvalidOperationException("the range is not free");
        }
    }
}
