namespace Rpal.Memory.Segments;

/// <summary>What lies in a part of a segment.</summary>
public enum PartKind : uint
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Bytes that Rpal knows nothing about.</summary>
    Bytes = 1,

    /// <summary>A pool of equal blocks.</summary>
    BlockPool = 2,

    /// <summary>A buffer that changes owner.</summary>
    OwnedBuffer = 3,

    /// <summary>A semaphore.</summary>
    Semaphore = 4,

    /// <summary>Semaphores of which one waiter waits for any.</summary>
    SemaphoreSet = 5,

    /// <summary>Counters with one word per CPU.</summary>
    Counters = 6,
}
