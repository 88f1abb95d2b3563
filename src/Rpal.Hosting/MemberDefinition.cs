namespace Rpal.Hosting;

/// <summary>One program of a family.</summary>
public sealed record MemberDefinition
{
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

    /// <summary>Most characters of a name.</summary>
    public const int NameLengthLimit = 32;
}
