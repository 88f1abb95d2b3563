using Rpal.Memory.Segments;

namespace Rpal.MemoryPeer.Roles;

/// <summary>Segments as the other process sees them.</summary>
internal static unsafe class SegmentRoles
{
    public static void Add(Dictionary<string, Func<Peer, int>> roles)
    {
        roles.Add("hold", Hold);
        roles.Add("occupied", Occupied);
        roles.Add("add-parts", AddParts);
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
