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
    }

    /// <summary>Opens a segment, says where, adds one to its first part's first byte, and stays.</summary>
    private static int Hold(Peer peer)
    {
        using Segment segment = peer.Receive();
        (*segment.Find(0, PartKind.Bytes).Address)++;
        Peer.Say($"open 0x{(long)segment.Address:x} as {segment.Self.Number}");
        return Peer.Stay();
    }

    /// <summary>Words: how many. Adds parts of ones.</summary>
    private static int AddParts(Peer peer)
    {
        using Segment segment = peer.Receive(requireSharedAddress: false);
        Peer.Say("adds");
        for (int i = 0; i < peer.Number(0); i++)
        {
            _ = segment.Add(PartKind.Bytes, PartBytes, prepare: static part => new Span<byte>(part.Address, PartBytes).Fill(1));
        }

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
