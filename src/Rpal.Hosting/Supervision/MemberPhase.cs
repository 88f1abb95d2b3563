namespace Rpal.Hosting.Supervision;

/// <summary>Where a member is in its life. Changed by <see cref="SupervisedMember"/> only, on the host's thread, as drawn.</summary>
/// <remarks><code>
///             dependencies ready          its services enabled
///  Waiting ────────────────────► Starting ────────────────────► Ready
///   ▲ ▲ │                          │    │                       │  │
///   │ │ │ stop                     │    └──── stop, replace ────┤  │
///   │ │ ▼                          │                            ▼  │
///   │ │ Ended ◄── not again ─┐     │                      Stopping │
///   │ │                      │     └──────────┐             │      │
///   │ └─── replaced ───── the process ended ◄─┴─────────────┴──────┘
///   │                        │    │
///   │                        │    └── too often ──► GivenUp
///   └── delay over ── BackingOff        Ended, GivenUp ── rpal restart ──► Waiting
/// </code></remarks>
internal enum MemberPhase
{
    /// <summary>For the members it depends on.</summary>
    Waiting,

    /// <summary>Its process runs, and is not ready yet.</summary>
    Starting,

    /// <summary>Its process runs, and its services are there.</summary>
    Ready,

    /// <summary>It was told to end, and will be killed when its grace is over.</summary>
    Stopping,

    /// <summary>It has ended and will be started again after a delay.</summary>
    BackingOff,

    /// <summary>It has ended and stays down.</summary>
    Ended,

    /// <summary>It failed too often in a row, or could not be started, and stays down.</summary>
    GivenUp,
}
