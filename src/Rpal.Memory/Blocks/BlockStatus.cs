namespace Rpal.Memory.Blocks;

/// <summary>What became of an operation on blocks. Refusals other than <see cref="Exhausted"/>, <see cref="PeerGone"/> and <see cref="TooLong"/> are counted in the pool, for all its processes.</summary>
public enum BlockStatus : byte
{
    /// <summary>Done.</summary>
    Done = 0,

    /// <summary>No free block was seen on any list, also after dead processes' blocks had been given back.</summary>
    Exhausted,

    /// <summary>The block is free already, or was freed and has a new life: freed twice, or used after it was freed.</summary>
    AlreadyFree,

    /// <summary>The block belongs to another process, or was not offered to this one.</summary>
    NotOwned,

    /// <summary>There is no block of that number.</summary>
    OutOfRange,

    /// <summary>A chain has a block twice.</summary>
    Cycle,

    /// <summary>The process it should go to has gone: the block is this process's as before.</summary>
    PeerGone,

    /// <summary>More bytes than a chain can have here, or fewer than none.</summary>
    TooLong,

    /// <summary>The pool's words make no sense: a process has written where it should not. Nothing was followed.</summary>
    Corrupt,
}
