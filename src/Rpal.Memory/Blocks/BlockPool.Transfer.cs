using Rpal.Memory.Parties;

namespace Rpal.Memory.Blocks;

/// <summary>Blocks on their way from one process to another.</summary>
public sealed unsafe partial class BlockPool
{
    /// <summary>Gives a block to another process, which takes it with <see cref="TryAcceptBlock"/> or <see cref="TryAcceptChain"/>. From here on this process may not touch it.</summary>
    /// <param name="block">This process's.</param>
    /// <param name="lengthBytes">How many of its bytes are meant, 0 to <see cref="BlockBytes"/>.</param>
    /// <param name="to">To whom.</param>
    /// <param name="reference">What the message must carry. If the receiver dies before it takes the block, the block becomes free.</param>
    /// <returns>Done, TooLong, PeerGone, AlreadyFree, NotOwned, OutOfRange, Corrupt. Whatever is not Done changed nothing.</returns>
    public BlockStatus TryOffer(Block block, int lengthBytes, Party to, out BlockReference reference)
    {
        reference = default;
        if ((uint)lengthBytes > (uint)BlockBytes)
        {
            return BlockStatus.TooLong;
        }

        BlockStatus status = Offer(block, to);
        if (status == BlockStatus.Done && !_segment.IsAlive(to) && TryTakeBack(block, to))
        {
            return BlockStatus.PeerGone;
        }

        _segment.ThrowIfClosed();                                // then the offer may have gone nowhere
        reference = status == BlockStatus.Done ? new BlockReference { First = (uint)block.Index, Sequence = block.Sequence, LengthBytes = lengthBytes } : default;
        return status;
    }

    /// <summary>Takes what was offered to this process, if it is of one block.</summary>
    /// <returns>Done, TooLong (it is a chain), AlreadyFree, NotOwned, OutOfRange, Corrupt.</returns>
    public BlockStatus TryAcceptBlock(BlockReference reference, out Block block)
    {
        block = default;
        return reference.LengthBytes < 0 || reference.LengthBytes > BlockBytes ? BlockStatus.TooLong : Accept(reference.First, reference.Sequence, null, out block, out _);
    }

    /// <summary>Takes what was offered to this process: all its blocks, each checked, or none: if one is wrong, those taken so far are freed.</summary>
    /// <returns>Done, TooLong, AlreadyFree, NotOwned, OutOfRange, Cycle, Corrupt.</returns>
    public BlockStatus TryAcceptChain(BlockReference reference, out BlockChain? chain) => BlockChain.TryAccept(this, reference, out chain);

    /// <summary>Reserves blocks for a message of any length: all or none.</summary>
    /// <param name="lengthBytes">0 to what all blocks together can have.</param>
    /// <param name="chain">To fill in, then offer or free.</param>
    /// <returns>Done, TooLong, Exhausted, Corrupt.</returns>
    public BlockStatus TryReserveChain(long lengthBytes, out BlockChain? chain) => BlockChain.TryReserve(this, lengthBytes, out chain);

    /// <summary>Frees what a process that died had offered to this one and this one has not accepted. To be called when all that came from it has been read.</summary>
    /// <param name="from">Who died; <see cref="Rpal.Memory.Segments.Segment.Sweep"/> has cleared it away.</param>
    /// <returns>How many blocks.</returns>
    public int FreeOrphans(Party from)
    {
        _segment.ThrowIfClosed();
        int freed = 0;
        for (uint i = 0; i < _m.Count; i++)
        {
            BlockWord word = _m.Word(i);
            if (word.State == BlockState.Orphaned && word.Giver == from.Number && IsForSelf(word))
            {
                BlockWord releasing = BlockWord.Of(BlockState.Releasing, _self.Number, _self.Generation, word.Sequence);
                freed += _m.TryChange(i, word, releasing) && BlockCaches.PutBack(_m, i, releasing) ? 1 : 0;
            }
        }

        GC.KeepAlive(_segment);
        return freed;
    }

    /// <summary>Without looking whether the receiver lives: <see cref="TryTakeBack"/> follows if it does not.</summary>
    internal BlockStatus Offer(Block block, Party to)
    {
        BlockStatus status = Check(block, out BlockWord owned);
        if (status != BlockStatus.Done)
        {
            return status;
        }

        if (!_m.TryChange((uint)block.Index, owned, Offered(block, to)))
        {
            status = Check(block, out _);
            return status == BlockStatus.Done ? _m.Refuse(BlockStatus.Corrupt) : status;
        }

        GC.KeepAlive(_segment);
        KillPoints.Reach(KillPoint.PoolOffered);
        return BlockStatus.Done;
    }

    /// <returns>False: the receiver has taken it, or the receiver's recovery has freed it. Either way it is not this process's any more.</returns>
    internal bool TryTakeBack(Block block, Party to)
    {
        BlockWord owned = BlockWord.Of(BlockState.Owned, _self.Number, _self.Generation, block.Sequence);
        bool isTaken = _m.TryChange((uint)block.Index, Offered(block, to), owned);
        GC.KeepAlive(_segment);
        return isTaken;
    }

    /// <param name="index">As read from shared memory.</param>
    /// <param name="sequence">Which life; null: any, its lists say so.</param>
    /// <param name="giver">Who must have offered it; null: anybody.</param>
    /// <param name="block">This process's.</param>
    /// <param name="by">Who has offered it.</param>
    internal BlockStatus Accept(uint index, uint? sequence, int? giver, out Block block, out int by)
    {
        _segment.ThrowIfClosed();
        (block, by) = (default, -1);
        if (index >= _m.Count)
        {
            return _m.Refuse(BlockStatus.OutOfRange);
        }

        BlockWord word = _m.Word(index);
        if (word.State is not (BlockState.Offered or BlockState.Orphaned) || !IsForSelf(word) || (sequence ?? word.Sequence) != word.Sequence || (giver ?? word.Giver) != word.Giver)
        {
            return _m.Refuse(WhyNot(word));
        }

        BlockWord mine = BlockWord.Of(BlockState.Owned, _self.Number, _self.Generation, word.Sequence);
        if (!_m.TryChange(index, word, mine))
        {
            // Orphaned a moment ago, taken back, or taken by another thread: the second look decides.
            word = _m.Word(index);
            if (word.State != BlockState.Orphaned || !IsForSelf(word) || (giver ?? word.Giver) != word.Giver || word.Sequence != mine.Sequence || !_m.TryChange(index, word, mine))
            {
                return _m.Refuse(WhyNot(word));
            }
        }

        GC.KeepAlive(_segment);
        KillPoints.Reach(KillPoint.PoolAccepted);
        (block, by) = (new Block((int)index, word.Sequence), word.Giver);
        return BlockStatus.Done;
    }

    private bool IsForSelf(BlockWord word) => word.Party == _self.Number && word.Generation == (byte)_self.Generation;

    private BlockWord Offered(Block block, Party to) => BlockWord.Of(BlockState.Offered, to.Number, to.Generation, block.Sequence, _self.Number);
}
