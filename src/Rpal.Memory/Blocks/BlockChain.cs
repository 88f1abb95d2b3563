using System.Runtime.InteropServices;
using Rpal.Memory.Parties;

namespace Rpal.Memory.Blocks;

/// <summary>
/// A message of several blocks (scatter-gather): reserved and filled by one process, offered, accepted and read by another. Not thread-safe.
/// </summary>
/// <remarks>
/// <para>Its data blocks are listed in further blocks, of which the last entry chains on, as seed 002 draws it:</para>
/// <code>
///   L0 -------> L1 -------> .. -------> LN -------> Dn          D data block, L list block: u32 indices, as many as fit
///  /  \        /  \                    /  \
///  D0 D1 ..   Dm  Dm+1 ..             ..  Dn-1
/// </code>
/// <para>How many data blocks there are follows from the message's length; all are full but the last. A message of up to one block has no list. The list blocks
/// are read once, while the chain is accepted, and each block in them changes owner as it is read: a block that comes twice is
/// found to be this process's already. From then on the chain is this object's own copy, whatever happens to the lists.</para>
/// </remarks>
public sealed class BlockChain : IDisposable
{
    private readonly BlockPool _pool;
    private readonly List<Block> _lists = [];
    private readonly List<Block> _data = [];

    private BlockChain(BlockPool pool, long lengthBytes) => (_pool, LengthBytes) = (pool, lengthBytes);

    /// <summary>Bytes of the message.</summary>
    public long LengthBytes { get; }

    /// <summary>Pieces that it lies in; 0 after it was offered or freed.</summary>
    public int PieceCount => _data.Count;

    /// <summary>A piece's bytes: whole blocks, and what is left in the last.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such piece.</exception>
    /// <exception cref="InvalidOperationException">The block is not this process's any more: another wrote where it should not.</exception>
    public Span<byte> Piece(int number)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)number, (uint)_data.Count, nameof(number));
        BlockStatus status = _pool.TryGetBytes(_data[number], out Span<byte> bytes);
        return status == BlockStatus.Done
            ? bytes[..(int)Math.Min(_pool.BlockBytes, LengthBytes - (long)number * _pool.BlockBytes)]
            : throw new InvalidOperationException($"BlockChain.Piece: block {_data[number].Index} is {status}.");
    }

    /// <summary>Copies the message out, up to the destination's length.</summary>
    /// <returns>Bytes copied.</returns>
    public int CopyTo(Span<byte> destination)
    {
        int copied = 0;
        for (int i = 0; i < PieceCount && copied < destination.Length; i++)
        {
            Span<byte> piece = Piece(i);
            piece = piece[..Math.Min(piece.Length, destination.Length - copied)];
            piece.CopyTo(destination[copied..]);
            copied += piece.Length;
        }

        return copied;
    }

    /// <summary>Gives all of it to another process. From here on this process may not touch it.</summary>
    /// <returns>Done, PeerGone, AlreadyFree, NotOwned, Corrupt. Whatever is not Done leaves it this process's.</returns>
    /// <exception cref="InvalidOperationException">It was offered or freed already.</exception>
    public BlockStatus TryOffer(Party to, out BlockReference reference)
    {
        reference = default;
        if (_data.Count == 0)
        {
            throw new InvalidOperationException("BlockChain.TryOffer: it has no blocks. It was offered or freed already.");
        }

        Block first = _lists.Count > 0 ? _lists[0] : _data[0];
        Block[] all = [.. _data, .. _lists];                     // the first list last: a receiver that guesses finds it not offered
        int offered = 0;
        BlockStatus status = BlockStatus.Done;
        while (offered < all.Length && (status = _pool.Offer(all[offered], to)) == BlockStatus.Done)
        {
            offered++;
        }

        if (status == BlockStatus.Done && !_pool.Part.Segment.IsAlive(to))
        {
            status = BlockStatus.PeerGone;
        }

        if (status != BlockStatus.Done)
        {
            TakeBack(all.AsSpan(0, offered), to);
            return status;
        }

        reference = new BlockReference { First = (uint)first.Index, Sequence = first.Sequence, LengthBytes = LengthBytes };
        Forget();
        return BlockStatus.Done;
    }

    /// <summary>Gives back what it still has.</summary>
    /// <returns>Done, or what the first block was that could not be given back.</returns>
    public BlockStatus Free()
    {
        BlockStatus worst = BlockStatus.Done;
        foreach (Block block in (ReadOnlySpan<Block>)[.. _data, .. _lists])
        {
            BlockStatus status = _pool.Free(block);
            worst = worst == BlockStatus.Done ? status : worst;
        }

        Forget();
        return worst;
    }

    /// <summary>As <see cref="Free"/>.</summary>
    public void Dispose() => _ = Free();

    internal static BlockStatus TryReserve(BlockPool pool, long lengthBytes, out BlockChain? chain)
    {
        chain = null;
        if (!ChainShape.TryOf(pool, lengthBytes, out ChainShape shape))
        {
            return BlockStatus.TooLong;
        }

        var made = new BlockChain(pool, lengthBytes);
        BlockStatus status = BlockStatus.Done;
        for (int i = 0; i < shape.Lists + shape.Data && status == BlockStatus.Done; i++)
        {
            status = pool.TryAllocate(out Block block);
            if (status == BlockStatus.Done)
            {
                (i < shape.Lists ? made._lists : made._data).Add(block);
                KillPoints.Reach(KillPoint.PoolChaining);
            }
        }

        if (status != BlockStatus.Done)
        {
            _ = made.Free();
            return status;
        }

        made.WriteLists(shape);
        chain = made;
        return BlockStatus.Done;
    }

    internal static BlockStatus TryAccept(BlockPool pool, BlockReference reference, out BlockChain? chain)
    {
        chain = null;
        if (!ChainShape.TryOf(pool, reference.LengthBytes, out ChainShape shape))
        {
            return BlockStatus.TooLong;
        }

        var taken = new BlockChain(pool, reference.LengthBytes);
        BlockStatus status = pool.Accept(reference.First, reference.Sequence, null, out Block first, out int giver);
        if (status == BlockStatus.Done)
        {
            (shape.Lists > 0 ? taken._lists : taken._data).Add(first);
            status = taken.AcceptLists(shape, giver);
        }

        if (status != BlockStatus.Done)
        {
            _ = taken.Free();
            return status;
        }

        chain = taken;
        return BlockStatus.Done;
    }

    /// <summary>At most <see cref="ChainShape.Data"/> + <see cref="ChainShape.Lists"/> entries, whatever stands in them.</summary>
    private BlockStatus AcceptLists(ChainShape shape, int giver)
    {
        for (int list = 0; list < shape.Lists; list++)
        {
            Span<uint> entries = Entries(_lists[list]);
            for (int i = 0; i < shape.EntriesOf(list); i++)
            {
                bool chainsOn = list < shape.Lists - 1 && i == shape.EntriesPerList - 1;
                BlockStatus status = TakeOne(Volatile.Read(ref entries[i]), chainsOn, giver);
                if (status != BlockStatus.Done)
                {
                    return status;
                }
            }
        }

        return BlockStatus.Done;
    }

    /// <summary>Only what the same process has offered: a list must not collect others' messages.</summary>
    private BlockStatus TakeOne(uint index, bool isList, int giver)
    {
        BlockStatus status = _pool.Accept(index, null, giver, out Block block, out _);
        if (status == BlockStatus.Done)
        {
            (isList ? _lists : _data).Add(block);
            return status;
        }

        return status != BlockStatus.OutOfRange && Has(index) ? _pool.Memory.Refuse(BlockStatus.Cycle) : status;
    }

    private bool Has(uint index) => _lists.Exists(b => b.Index == index) || _data.Exists(b => b.Index == index);

    private void WriteLists(ChainShape shape)
    {
        int next = 0;
        for (int list = 0; list < shape.Lists; list++)
        {
            Span<uint> entries = Entries(_lists[list]);
            for (int i = 0; i < shape.EntriesOf(list); i++)
            {
                bool chainsOn = list < shape.Lists - 1 && i == shape.EntriesPerList - 1;
                entries[i] = (uint)(chainsOn ? _lists[list + 1] : _data[next++]).Index;
            }
        }
    }

    private Span<uint> Entries(Block list) => MemoryMarshal.Cast<byte, uint>(_pool.BytesOf(list.Index));

    private void TakeBack(ReadOnlySpan<Block> offered, Party to)
    {
        foreach (Block block in offered)
        {
            if (!_pool.TryTakeBack(block, to))
            {
                _lists.Remove(block);                            // the dead receiver's recovery has freed it
                _data.Remove(block);
            }
        }
    }

    private void Forget()
    {
        _lists.Clear();
        _data.Clear();
    }
}
