namespace Rpal.Memory.Blocks;

/// <summary>A block that is being filled. Stack-only: it cannot outlive the method or cross an await.</summary>
public ref struct BlockLease
{
    private BlockPool? _pool;
    private readonly Block _block;

    internal BlockLease(BlockPool pool, Block block, Span<byte> bytes)
    {
        (_pool, _block) = (pool, block);
        Bytes = bytes;
    }

    /// <summary>All its bytes, to write into. They are not cleared. Empty after <see cref="Commit"/>.</summary>
    public Span<byte> Bytes { get; private set; }

    /// <summary>Keeps the block beyond this lease: now it is to be offered or freed.</summary>
    /// <exception cref="InvalidOperationException">It was committed already, or nothing was reserved.</exception>
    public Block Commit()
    {
        if (_pool is null)
        {
            throw new InvalidOperationException("BlockLease.Commit: there is no block. A lease is committed once, and only if TryReserve said Done.");
        }

        _pool = null;
        Bytes = default;
        return _block;
    }

    /// <summary>Frees the block if it was not committed.</summary>
    public void Dispose()
    {
        _pool?.Free(_block);
        _pool = null;
        Bytes = default;
    }
}
