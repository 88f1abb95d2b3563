namespace Rpal.Hosting;

/// <summary>Whether a member that has ended is started again.</summary>
public enum RestartPolicy
{
    /// <summary>It stays down.</summary>
    No,

    /// <summary>When it failed: an exit code other than 0, a signal, or not ready in time.</summary>
    OnFailure,

    /// <summary>However it ended.</summary>
    Always,
}

/// <summary>What becomes of the members when their host itself is killed.</summary>
public enum HostExitPolicy
{
    /// <summary>They get SIGTERM and have their grace to end, then SIGKILL. Needs a keeper, see <see cref="FamilyHostOptions.KeeperCommand"/>.</summary>
    Stop,

    /// <summary>They are killed with it.</summary>
    Kill,

    /// <summary>They go on without it until the first of them ends; then the others are stopped. Needs a keeper.</summary>
    Continue,
}
