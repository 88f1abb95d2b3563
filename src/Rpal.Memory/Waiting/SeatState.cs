namespace Rpal.Memory.Waiting;

/// <summary>How far a seat's user has left it. Written by whoever leaves it, then by whoever gives it back.</summary>
/// <remarks><code>
/// Taken ──Leave──► Leaving ──nobody waits here, nobody has its members──► Released
///                  its waiter is woken, by SleepWatch too
/// </code></remarks>
internal enum SeatState
{
    /// <summary>In use.</summary>
    Taken,

    /// <summary>Its user is done with it. A thread may be in the middle of a wait, or of a look at the members, and be stopped there.</summary>
    Leaving,

    /// <summary>Given back: it is somebody else's.</summary>
    Released,
}
