namespace Rpal;

/// <summary>State of a service, as a subscriber sees it.</summary>
/// <remarks><code>
/// Absent ──► Disabled ◄──► Enabled
///               │  ▲          │
///               ▼  │          │
///              Gone ◄─────────┘      (the next registration of the name begins as Disabled)
/// </code></remarks>
public enum ServiceStatus : byte
{
    /// <summary>No service has the name. Only ever the first thing that a subscriber sees.</summary>
    Absent,

    /// <summary>Registered, but it takes no calls at present; they wait.</summary>
    Disabled,

    /// <summary>Takes calls.</summary>
    Enabled,

    /// <summary>Closed, or its process is gone. Connections to it stay closed, whoever takes its name.</summary>
    Gone,
}

/// <summary>A service was found in a state.</summary>
/// <param name="Status">The state.</param>
/// <param name="Registration">Which registration of the name: never the same number twice in a family. Null when <see cref="ServiceStatus.Absent"/>.</param>
public readonly record struct ServiceChange(ServiceStatus Status, ulong? Registration);
