namespace Rpal.Hosting;

/// <summary>How a host runs its family.</summary>
public sealed record FamilyHostOptions
{
    /// <summary>From the stop to the kill, for members that do not say.</summary>
    public TimeSpan StopGrace { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// Command line of the process that looks after the members when the host is killed; the descriptor of its socket and the
    /// family's <see cref="HostExitPolicy"/> are appended, and it runs <see cref="Keeping.Keeper.Run"/>. Null: members are killed with the host.
    /// </summary>
    public IReadOnlyList<string>? KeeperCommand { get; init; }

    /// <summary>Reads the definition again when a member is replaced. Null: its file as it is then.</summary>
    public Func<FamilyDefinition>? Reload { get; init; }

    /// <summary>Whether <c>rpal ps</c> and others of the same user can reach this host.</summary>
    public bool Control { get; init; }

    /// <summary>Before each restart, however many came before it; null: as <see cref="Supervision.Backoff"/> says. For tests that kill members all the time.</summary>
    internal TimeSpan? RestartDelay { get; init; }
}
