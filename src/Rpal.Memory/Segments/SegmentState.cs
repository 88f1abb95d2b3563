namespace Rpal.Memory.Segments;

/// <summary>How far a segment is closed in this process. Written by the one thread that closes it.</summary>
/// <remarks><code>
/// Open ──Dispose──► Closing ──────────► Closed ───────────► Gone
///                   users end what      sleepers are        the tombstone lies in its place: no thread of this process reaches its memory
///                   runs, as a living   sent away           (where the kernel refuses one, the memory stays, and with it this party)
///                   party
/// </code></remarks>
internal enum SegmentState
{
    /// <summary>In use.</summary>
    Open,

    /// <summary>Nobody is told of the closing who was not told yet: see <see cref="ISegmentUser"/>.</summary>
    Closing,

    /// <summary>Nothing is begun in it any more. Threads may be in the middle of something.</summary>
    Closed,

    /// <summary>Its memory cannot be asked for any more.</summary>
    Gone,
}
