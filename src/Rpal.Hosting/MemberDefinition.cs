namespace Rpal.Hosting;

/// <summary>One program of a family.</summary>
public sealed record MemberDefinition
{
    /// <summary>Most characters of a name.</summary>
    public const int NameLengthLimit = 32;

    /// <summary>How long a member has to become ready, unless it says otherwise.</summary>
    public static readonly TimeSpan ReadyTimeoutDefault = TimeSpan.FromSeconds(60);

    /// <summary>Name in output and messages; unique in the family. 1 to <see cref="NameLengthLimit"/> letters, digits, '-', '_' or '.'.</summary>
    public required string Name { get; init; }

    /// <summary>Program: a path, or a name to find on PATH.</summary>
    public required string Command { get; init; }

    /// <summary>Its arguments, without the command itself.</summary>
    public IReadOnlyList<string> Arguments { get; init; } = [];

    /// <summary>Environment variables to add to the host's or to replace; null removes one.</summary>
    public IReadOnlyDictionary<string, string?> Environment { get; init; } = new Dictionary<string, string?>();

    /// <summary>Working directory; relative to the host's. The host's when null.</summary>
    public string? WorkingDirectory { get; init; }

    /// <summary>Whether it is started again after its end.</summary>
    public RestartPolicy Restart { get; init; }

    /// <summary>Restarts in a row before it is given up, 1 or more; null: no limit. A run of 10 s starts a new row.</summary>
    public int? RestartLimit { get; init; }

    /// <summary>Members that must be ready before it is started, and that are stopped after it.</summary>
    public IReadOnlyList<string> DependsOn { get; init; } = [];

    /// <summary>Services that it must have enabled to be ready. None: it is ready once it is started.</summary>
    public IReadOnlyList<string> ReadyServices { get; init; } = [];

    /// <summary>From its start until it must be ready; then it has failed.</summary>
    public TimeSpan ReadyTimeout { get; init; } = ReadyTimeoutDefault;

    /// <summary>From SIGTERM to SIGKILL when it is stopped; null: the host's, see <see cref="FamilyHostOptions.StopGrace"/>.</summary>
    public TimeSpan? StopGrace { get; init; }
}
