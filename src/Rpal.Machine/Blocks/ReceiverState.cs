namespace Rpal.Machine.Blocks;

/// <summary>Where a receiver's user context is. One word, changed only as drawn.</summary>
/// <remarks><code>
/// Init ──wait──► Ready ──claim (lock cmpxchg)──► Foreign ──answer──► Ready
///                │  ▲                              │
///                │  │                              └─ lazy switch ─► Own ──answer──► Ready
///                │  └── handled a signal while parked: Ready ► Own ► Ready
///                └── stop: Ready ► Stopped                any, its process gone ─► Dead
/// </code></remarks>
internal enum ReceiverState : byte
{
    /// <summary>Not waiting yet.</summary>
    Init = 0,

    /// <summary>Parked: its stack and FS may be entered by whoever claims it.</summary>
    Ready = 1,

    /// <summary>Claimed: the claimer's kernel thread executes its context, or is about to.</summary>
    Foreign = 2,

    /// <summary>Its own kernel thread executes its context.</summary>
    Own = 3,

    /// <summary>Left the service.</summary>
    Stopped = 4,

    /// <summary>Its process is gone.</summary>
    Dead = 5,
}
