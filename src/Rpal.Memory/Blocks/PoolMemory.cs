using Rpal.Memory.Parties;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Blocks;

/// <summary>A pool's tables in this process. The geometry is a private copy that was checked against the part's length: indices are compared with it and with nothing in shared memory.</summary>
internal sealed unsafe class PoolMemory
{
    public readonly Part Part;
    public readonly BlockPoolLayout Layout;
    public readonly uint Count;
    public readonly uint CacheCount;
    public readonly uint LaneLimit;
    public readonly BlockPoolHeader* Header;
    public readonly byte* Heads;
    public readonly byte* Lanes;
    public readonly ulong* Words;
    public readonly uint* Links;
    private readonly byte* _data;

    private PoolMemory(Part part, BlockPoolLayout layout)
    {
        (Part, Layout, Count, CacheCount) = (part, layout, (uint)layout.BlockCount, (uint)layout.CacheCount);
        LaneLimit = BlockLanes.Limit(layout);
        byte* at = part.Address;
        Header = (BlockPoolHeader*)at;
        Heads = at + BlockPoolLayout.HeadsOffset;
        Lanes = Heads + BlockPoolLayout.HeadStride + BlockLanes.Offset;
        Words = (ulong*)(at + layout.WordsOffset);
        Links = (uint*)(at + layout.LinksOffset);
        _data = at + layout.DataOffset;
    }

    /// <summary>Null: its header does not describe a pool of that part's length.</summary>
    public static PoolMemory? TryOpen(Part part)
    {
        if (part.LengthBytes < BlockPoolHeader.SizeBytes)
        {
            return null;
        }

        BlockPoolHeader header = *(BlockPoolHeader*)part.Address;
        var layout = new BlockPoolLayout((int)header.BlockBytes, (int)header.BlockCount, (int)header.CacheCount);
        return layout.IsValid && layout.LengthBytes <= part.LengthBytes ? new PoolMemory(part, layout) : null;
    }

    /// <summary>Fills in a part of zero bytes before others can find it: all blocks on the common list.</summary>
    public static void Prepare(Part part, BlockPoolLayout layout, bool withSections)
    {
        var m = new PoolMemory(part, layout);
        *m.Header = new BlockPoolHeader { BlockBytes = (uint)layout.BlockBytes, BlockCount = (uint)layout.BlockCount, CacheCount = (uint)layout.CacheCount, LockedOnly = withSections ? 0u : 1u };
        uint top = 0;
        foreach (uint i in BlockPoolLayout.Spread(m.Count))
        {
            (m.Links[i], top) = (top, i + 1);
        }

        *m.Head(0) = BlockList.Top(0, top);
    }

    /// <summary>Whether blocks are put onto lanes: this process has sections, and so have all others that use the pool.</summary>
    public bool PushesToLanes => BlockLanes.AreUsable && LaneLimit != 0 && Volatile.Read(ref Header->LockedOnly) == 0;

    /// <summary>A process that cannot reach what is on lanes says so, for good; then nobody puts anything there.</summary>
    public void Announce()
    {
        if (CacheCount != 0 && !BlockLanes.AreUsable)
        {
            Volatile.Write(ref Header->LockedOnly, 1);
        }
    }

    /// <summary>List 0 is the common one, 1 to <see cref="CacheCount"/> are the CPUs'.</summary>
    public ulong* Head(uint list) => (ulong*)(Heads + list * BlockPoolLayout.HeadStride);

    /// <summary>That of CPU 0 to <see cref="CacheCount"/> - 1.</summary>
    public ulong* Lane(uint cpu) => (ulong*)(Lanes + cpu * BlockPoolLayout.HeadStride);

    public byte* Data(uint index) => _data + (long)index * Layout.BlockBytes;

    public BlockWord Word(uint index) => new(Volatile.Read(ref Words[index]));

    public bool TryChange(uint index, BlockWord from, BlockWord to) => Interlocked.CompareExchange(ref Words[index], to.Value, from.Value) == from.Value;

    /// <summary>Counts what was refused.</summary>
    /// <exception cref="ObjectDisposedException">The segment was closed meanwhile: what was found may be the tombstone's
    /// zeroes.</exception>
    public BlockStatus Refuse(BlockStatus why)
    {
        Part.Segment.ThrowIfClosed();
        switch (why)
        {
            case BlockStatus.AlreadyFree: Interlocked.Increment(ref Header->AlreadyFree); break;
            case BlockStatus.NotOwned: Interlocked.Increment(ref Header->NotOwned); break;
            case BlockStatus.OutOfRange: Interlocked.Increment(ref Header->OutOfRange); break;
            case BlockStatus.Cycle: Interlocked.Increment(ref Header->Cycles); break;
            case BlockStatus.Corrupt: Interlocked.Increment(ref Header->Corrupt); break;
            default: break;
        }

        return why;
    }

    /// <summary>Blocks whose sequence went up without an allocation.</summary>
    public void CountMoved(ulong blocks) => Interlocked.Add(ref Header->Moved, blocks);

    /// <summary>Puts a block that is Releasing in a party's name on a list.</summary>
    /// <returns>False: the list's head does not keep still, and the block stays Releasing until its party's recovery.</returns>
    public bool PutBack(uint index, BlockWord releasing, uint list)
    {
        KillPoints.Reach(KillPoint.PoolReleasing);
        return PutOnList(index, releasing, list);
    }

    /// <summary>The rest of it.</summary>
    public bool PutOnList(uint index, BlockWord releasing, uint list)
    {
        if (!BlockList.TryPush(this, list, index))
        {
            return false;
        }

        KillPoints.Reach(KillPoint.PoolPushed);
        _ = TryChange(index, releasing, BlockWord.Free(releasing.Sequence));       // no: somebody found it on top and has done it
        return true;
    }
}
