using System.Globalization;
using Rpal.Linux;
using Rpal.Memory.Blocks;
using Rpal.Memory.Parties;
using Rpal.Memory.Segments;

namespace Rpal.MemoryPeer.Roles;

/// <summary>Block pools as the other process sees them. The pool is part 0, the test party 0.</summary>
internal static unsafe class BlockRoles
{
    public static void Add(Dictionary<string, Func<Peer, int>> roles)
    {
        roles.Add("pool-churn", Churn);
        roles.Add("pool-raid", Raid);
        roles.Add("pool-hold", Hold);
        roles.Add("pool-sweep", Sweep);
        roles.Add("pool-offer", Offer);
        roles.Add("pool-hostile", Hostile);
    }

    /// <summary>Words: rounds, threads. Does everything at random, and gives all back at the end.</summary>
    private static int Churn(Peer peer)
    {
        using Segment segment = peer.Receive();
        Peer.Say("open");
        BlockPool pool = BlockPool.Open(segment, 0);
        int rounds = peer.Number(0);
        Thread[] threads = [.. Enumerable.Range(0, peer.Number(1)).Select(t => new Thread(() => BlockChurn.Run(pool, segment.Self, rounds, (segment.Self.Number * 100) + t)))];
        Array.ForEach(threads, t => t.Start());
        Peer.Ends(threads);
        Peer.Say("done");
        return 0;
    }

    /// <summary>Word: rounds. On one CPU after the other takes all that there is and gives it back: so what one has left on its lane is fetched from the next.</summary>
    private static int Raid(Peer peer)
    {
        using Segment segment = peer.Receive();
        BlockPool pool = BlockPool.Open(segment, 0);
        _ = Sys.SchedGetAffinity(0, out ulong all);
        Peer.Say("open");
        List<Block> held = [];
        for (int round = 0; round < peer.Number(0); round++)
        {
            for (int cpu = 0; cpu < 64; cpu++)
            {
                if ((all >> cpu & 1) != 0 && Sys.SchedSetAffinity(0, 1UL << cpu) >= 0)
                {
                    BlockChurn.TakeAllAndGive(pool, held, segment.Self.Number);
                }
            }
        }

        Peer.Say("done");
        return 0;
    }

    /// <summary>Word: how many. Takes blocks and stays.</summary>
    private static int Hold(Peer peer)
    {
        using Segment segment = peer.Receive();
        BlockPool pool = BlockPool.Open(segment, 0);
        for (int i = 0; i < peer.Number(0); i++)
        {
            BlockStatus status = pool.TryAllocate(out _);
            if (status != BlockStatus.Done)
            {
                throw new InvalidOperationException($"{status}");
            }
        }

        Peer.Say("holding");
        return Peer.Stay();
    }

    private static int Sweep(Peer peer)
    {
        using Segment segment = peer.Receive();
        Peer.Say($"swept {segment.Sweep()}");
        return 0;
    }

    /// <summary>Word: how many bytes. Offers them to the test as one message, each byte its place, and stays.</summary>
    private static int Offer(Peer peer)
    {
        using Segment segment = peer.Receive();
        BlockPool pool = BlockPool.Open(segment, 0);
        BlockStatus status = pool.TryReserveChain(peer.Number(0), out BlockChain? chain);
        if (status != BlockStatus.Done)
        {
            throw new InvalidOperationException($"{status}");
        }

        for (int piece = 0, place = 0; piece < chain!.PieceCount; piece++)
        {
            foreach (ref byte b in chain.Piece(piece))
            {
                b = (byte)(place++ % 251);
            }
        }

        Party to = new(0, uint.Parse(peer.Words[1], CultureInfo.InvariantCulture));
        status = chain.TryOffer(to, out BlockReference r);
        Peer.Say($"offered {status} {r.First} {r.Sequence} {r.LengthBytes}");
        return Peer.Stay();
    }

    /// <summary>Words: milliseconds, seed. Writes random words all over the pool, tables and blocks.</summary>
    private static int Hostile(Peer peer)
    {
        using Segment segment = peer.Receive();
        Part part = segment.Find(0, PartKind.BlockPool);
        var random = new Random(peer.Number(1));
        Peer.Say("open");
        long words = part.LengthBytes / sizeof(ulong), written = 0;
        for (long until = Environment.TickCount64 + peer.Number(0); Environment.TickCount64 < until;)
        {
            for (int i = 0; i < 1000; i++, written++)
            {
                // Half of it into the head and the first lists; small numbers as well as large ones: they get further.
                long at = random.Next(2) == 0 ? random.NextInt64(Math.Min(words, 128)) : random.NextInt64(words);
                ulong value = random.Next(4) switch { 0 => (ulong)random.NextInt64(), 1 => (ulong)random.Next(300), 2 => (ulong)random.Next(300) << 24, _ => ((ulong)(uint)random.Next(8) << 32) | (uint)random.Next(0x500) };
                Volatile.Write(ref ((ulong*)part.Address)[at], value);
            }
        }

        Peer.Say($"wrote {written}");
        return Peer.Stay();
    }
}
