namespace Rpal.Memory.Waiting;

/// <summary>What became of a wait.</summary>
public enum WaitStatus
{
    /// <summary>One was taken from a semaphore's count.</summary>
    Acquired,

    /// <summary>The count was, or stayed, zero until the time was over. Nothing was taken.</summary>
    TimedOut,

    /// <summary>The shared memory holds what no correct process writes: a count above its limit. Nothing was taken.</summary>
    Corrupt,
}

/// <summary>What became of a release.</summary>
public enum ReleaseStatus
{
    /// <summary>The count was raised, and whoever sleeps for it was woken.</summary>
    Released,

    /// <summary>The count would have passed its limit. Nothing was changed.</summary>
    Overflow,

    /// <summary>The shared memory holds what no correct process writes: a count above its limit. Nothing was changed.</summary>
    Corrupt,
}
