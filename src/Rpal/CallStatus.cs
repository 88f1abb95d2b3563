namespace Rpal;

/// <summary>What became of a call.</summary>
public enum CallStatus : byte
{
    /// <summary>The handler ran and the answer is where the caller wanted it.</summary>
    Answered,

    /// <summary>No receiver of the service was ready before the deadline. Nothing was sent.</summary>
    Busy,

    /// <summary>
    /// The service's process ended during the call, or before it; or a killed caller took its receivers along, and it is being
    /// started anew. The handler may have run. Connect again.
    /// </summary>
    PeerDied,

    /// <summary>The service was closed, or registered anew, since the connection was made. Nothing was sent: connect again.</summary>
    Closed,
}
