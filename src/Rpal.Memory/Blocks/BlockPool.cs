using Rpal.Memory.Parties;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Blocks;

/// <summary>
/// Equal blocks of a segment, for all its processes: allocated and freed without locks, offered to one another without copying, and given back when their owner dies.
/// </summary>
/// <remarks>
/// <para>Safe for all threads of all processes that have the segment open. A process killed at any instruction takes no block with it for longer than until the next
/// <see cref="Segment.Sweep"/>, which an allocation that finds nothing does by itself.</para>
/// <para>What another process wrote is checked before it is used; one that writes anything anywhere can spoil the pool (<see cref="BlockStatus.Corrupt"/>), but makes nobody read or write outside it.
/// The bytes of a block are only as private as the other processes are honest.</para>
/// <para>Source: seed 002; docs/memory/blocks.md, docs/adr/0015.</para>
/// </remarks>
public sealed unsafe partial class BlockPool
{
    /// <summary>A block's length is a multiple of this: blocks never share a cache line.</summary>
    public const int BlockGranularity = 64;

    /// <summary>Longest block.</summary>
    public const int MostBlockBytes = 1 << 30;

    /// <summary>Most blocks of a pool.</summary>
    public const int MostBlocks = (1 << BlockList.IndexBits) - 2;

    /// <summary>Most per-CPU lists of a pool.</summary>
    public const int MostCaches = 256;

    /// <summary>Blocks that one allocation pops and finds taken by a recovery before it says Exhausted.</summary>
    private const int LostClaimsLimit = 1024;

    /// <summary>Longest wait for a recovery that has the lists' blocks: then whoever does it is taken for dead or stopped.</summary>
    private const int RecoveryWaitMs = 200;

    /// <summary>Time between two looks for dead parties by allocations that find nothing.</summary>
    private const int SweepIntervalMs = 20;

    /// <summary>Time between two attempts to finish recoveries of others, if this process cannot reach everything either.</summary>
    private const int FinishIntervalMs = 1000;

    private readonly PoolMemory _m;
    private readonly Segment _segment;
    private readonly Party _self;
    private long _nextSweepMs;
    private long _nextFinishMs;

    private uint _unfinished;

    private BlockPool(PoolMemory m)
    {
        (_m, _segment, _self) = (m, m.Part.Segment, m.Part.Segment.Self);
        m.Announce();
    }

    /// <summary>Where it lies; its <see cref="Part.Index"/> is what other processes open it by.</summary>
    public Part Part => _m.Part;

    /// <summary>Bytes of a block.</summary>
    public int BlockBytes => _m.Layout.BlockBytes;

    /// <summary>How many there are.</summary>
    public int BlockCount => _m.Layout.BlockCount;

    /// <summary>Lists of free blocks beside the common one.</summary>
    public int Caches => _m.Layout.CacheCount;

    internal PoolMemory Memory => _m;

    /// <summary>Bytes of a segment that a pool takes; allow <see cref="Part.Alignment"/>, or 4096 where blocks are whole pages, for its beginning.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public static long LengthFor(BlockPoolOptions options) => Layout(options).LengthBytes;

    /// <summary>Adds a pool to a segment. All its blocks are free.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    /// <exception cref="SegmentException">Full.</exception>
    public static BlockPool Create(Segment segment, BlockPoolOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(segment);
        options ??= new BlockPoolOptions();
        BlockPoolLayout layout = Layout(options);
        Part part = segment.Add(PartKind.BlockPool, layout.LengthBytes, layout.Alignment, p => PoolMemory.Prepare(p, layout, options.Sections));
        return Open(segment, part.Index);
    }

    /// <summary>The pool that another process made.</summary>
    /// <param name="segment">The segment.</param>
    /// <param name="part">Its number there.</param>
    /// <exception cref="SegmentException">NoSuchPart: there is none, or its header does not describe a pool of its part's length.</exception>
    public static BlockPool Open(Segment segment, int part)
    {
        ArgumentNullException.ThrowIfNull(segment);
        PoolMemory? m = PoolMemory.TryOpen(segment.Find(part, PartKind.BlockPool));
        segment.ThrowIfClosed();                                 // what was read may be the tombstone's zeroes
        return m is not null ? new BlockPool(m)
            : throw new SegmentException(SegmentError.NoSuchPart,
                $"Part {part} of the segment is no pool of its length: block length, count or lists make no sense. Another process has "
                + "written there.");
    }

    /// <summary>Takes a block. Its bytes are what its last owner left.</summary>
    /// <returns>Done, Exhausted, Corrupt.</returns>
    public BlockStatus TryAllocate(out Block block)
    {
        BlockStatus status = TryClaim(out block);
        status = status == BlockStatus.Exhausted ? TryClaimAfterRecovery(out block) : status;
        GC.KeepAlive(_segment);                                  // its memory goes with the last reference to it
        return status;
    }

    /// <summary>Takes a block to fill it. Disposing the lease without <see cref="BlockLease.Commit"/> frees it.</summary>
    /// <returns>Done, Exhausted, Corrupt.</returns>
    public BlockStatus TryReserve(out BlockLease lease)
    {
        BlockStatus status = TryAllocate(out Block block);
        lease = status == BlockStatus.Done ? new BlockLease(this, block, BytesOf(block.Index)) : default;
        return status;
    }

    /// <summary>Gives a block back.</summary>
    /// <returns>Done, AlreadyFree, NotOwned, OutOfRange, Corrupt. Whatever is not Done changed nothing.</returns>
    public BlockStatus Free(Block block)
    {
        BlockStatus status = Check(block, out BlockWord owned);
        if (status != BlockStatus.Done)
        {
            return status;
        }

        BlockWord releasing = owned.With(BlockState.Releasing);
        if (!_m.TryChange((uint)block.Index, owned, releasing))
        {
            status = Check(block, out _);                        // another thread was faster: what it did is why
            return status == BlockStatus.Done ? _m.Refuse(BlockStatus.Corrupt) : status;
        }

        status = BlockCaches.PutBack(_m, (uint)block.Index, releasing) ? BlockStatus.Done : _m.Refuse(BlockStatus.Corrupt);
        GC.KeepAlive(_segment);
        return status;
    }

    /// <summary>The bytes of a block that this process owns. Valid until it is freed or offered: from then on they are another's.</summary>
    /// <returns>Done, AlreadyFree, NotOwned, OutOfRange, Corrupt.</returns>
    public BlockStatus TryGetBytes(Block block, out Span<byte> bytes)
    {
        BlockStatus status = Check(block, out _);
        bytes = status == BlockStatus.Done ? BytesOf(block.Index) : default;
        return status;
    }

    /// <summary>Counts by all processes since the pool was made, and its free blocks now. Figures of a pool in use are not of one instant.</summary>
    public BlockPoolStatistics GetStatistics()
    {
        _segment.ThrowIfClosed();
        int free = 0;
        long allocations = 0;
        for (uint i = 0; i < _m.Count; i++)
        {
            BlockWord word = _m.Word(i);
            free += word.State is BlockState.Free or BlockState.Releasing ? 1 : 0;         // Releasing: on a lane, or on its way to a list
            allocations += word.Sequence;
        }

        BlockPoolHeader header = *_m.Header;
        GC.KeepAlive(_segment);
        allocations -= (long)header.Moved;
        return new BlockPoolStatistics(free, (long)header.AlreadyFree, (long)header.NotOwned, (long)header.OutOfRange, (long)header.Cycles, (long)header.Corrupt, (long)header.Recovered, allocations);
    }

    internal Span<byte> BytesOf(int index) => new(_m.Data((uint)index), _m.Layout.BlockBytes);

    private static BlockPoolLayout Layout(BlockPoolOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        var layout = new BlockPoolLayout(options.BlockBytes, options.BlockCount, options.Caches);
        return layout.IsValid ? layout : throw new ArgumentOutOfRangeException(nameof(options), $"A pool of {options.BlockCount} blocks of {options.BlockBytes} bytes with {options.Caches} caches: "
            + $"there can be 1 to {MostBlocks} blocks, of a multiple of {BlockGranularity} up to {MostBlockBytes} bytes, and 0 to {MostCaches} caches.");
    }

    private BlockStatus TryClaim(out Block block)
    {
        _segment.ThrowIfClosed();
        block = default;
        for (int attempt = 0; attempt < LostClaimsLimit; attempt++)
        {
            switch (BlockCaches.TryPop(_m, out uint index, out BlockWord free))
            {
                case PopResult.Empty:
                    return BlockStatus.Exhausted;
                case PopResult.Corrupt:
                    return _m.Refuse(BlockStatus.Corrupt);
                default:
                    uint sequence = free.Sequence + 1;
                    if (_m.TryChange(index, free, BlockWord.Of(BlockState.Owned, _self.Number, _self.Generation, sequence)))
                    {
                        KillPoints.Reach(KillPoint.PoolClaimed);
                        block = new Block((int)index, sequence);
                        return BlockStatus.Done;
                    }

                    break;                                       // a recovery took it for lost, and has put it back
            }
        }

        return BlockStatus.Exhausted;
    }

    /// <summary>Whether this process may use a block, and its word.</summary>
    private BlockStatus Check(Block block, out BlockWord word)
    {
        _segment.ThrowIfClosed();
        word = default;
        if ((uint)block.Index >= _m.Count)
        {
            return _m.Refuse(BlockStatus.OutOfRange);
        }

        word = _m.Word((uint)block.Index);
        GC.KeepAlive(_segment);
        return word.Is(BlockState.Owned, _self) && word.Sequence == block.Sequence ? BlockStatus.Done : _m.Refuse(WhyNot(word));
    }

    private BlockStatus WhyNot(BlockWord word) => word.State switch
    {
        BlockState.Free or BlockState.Releasing => BlockStatus.AlreadyFree,
        BlockState.Owned when word.Is(BlockState.Owned, _self) => BlockStatus.AlreadyFree,      // and allocated again
        BlockState.Owned or BlockState.Offered or BlockState.Orphaned => BlockStatus.NotOwned,
        _ => BlockStatus.Corrupt,
    };

    /// <summary>Nothing is free: because a recovery has it all just now, or because dead processes have it, or it is so.</summary>
    private BlockStatus TryClaimAfterRecovery(out Block block)
    {
        BlockStatus status = WaitForRecovery(out block);
        if (status != BlockStatus.Exhausted)
        {
            return status;
        }

        try
        {
            return TrySweep() | TryFinishRecovery() ? TryClaim(out block) : status;
        }
        catch (SegmentException e) when (e.Error == SegmentError.RecoveryBusy)
        {
            return status;                                       // so far there is nothing
        }
    }

    private bool TrySweep()
    {
        long now = Environment.TickCount64;
        if (now < Volatile.Read(ref _nextSweepMs))
        {
            return false;
        }

        Volatile.Write(ref _nextSweepMs, now + SweepIntervalMs);
        return _segment.Sweep() > 0;
    }

    /// <summary>A process without sections, or without the right to some CPU, has recovered what it could reach: this one may reach more. If not, it looks again after a while, and only if there is more.</summary>
    private bool TryFinishRecovery()
    {
        uint unfinished = Volatile.Read(ref _m.Header->Unfinished);
        long now = Environment.TickCount64;
        if (unfinished == 0 || unfinished == _unfinished || now < Volatile.Read(ref _nextFinishMs) || !BlockLanes.AreUsable)
        {
            return false;
        }

        bool done = false;
        for (int n = 0; n < PartyTable.Capacity && !done; n++)
        {
            done = _segment.Parties.ClearAwayIfDead(n);          // any number that nobody has: recovery is of all dead parties' blocks
        }

        _unfinished = Volatile.Read(ref _m.Header->Unfinished);
        Volatile.Write(ref _nextFinishMs, _unfinished == 0 ? now : now + FinishIntervalMs);
        return done;
    }

    private BlockStatus WaitForRecovery(out Block block)
    {
        block = default;
        for (long until = Environment.TickCount64 + RecoveryWaitMs; Volatile.Read(ref _m.Header->Recovering) != 0 && Environment.TickCount64 < until;)     // SYNC recovering: pairs with BlockPoolRecovery.Recover
        {
            Thread.Sleep(1);                                     // the recoverer is another process, may die, and wakes nobody: a recovery takes milliseconds
            BlockStatus status = TryClaim(out block);
            if (status != BlockStatus.Exhausted)
            {
                return status;
            }
        }

        return TryClaim(out block);                              // it may have ended between the search and the look
    }
}
