using Rpal.Linux;

namespace Rpal.Machine.Platform;

/// <summary>What became of trying one feature.</summary>
/// <param name="Feature">Which.</param>
/// <param name="Works">It does what Rpal needs.</param>
/// <param name="Found">What was seen: a number, or the error.</param>
internal sealed record PlatformFinding(PlatformFeature Feature, bool Works, string Found)
{
    /// <summary>From a call's result: an error is what was found.</summary>
    public static PlatformFinding FromCall(PlatformFeature feature, string call, long result, string found = "") =>
        result < 0 ? new(feature, false, $"{call}: {ErrnoText.Describe((int)result)}") : new(feature, true, found);
}

/// <summary>What this machine can do.</summary>
internal sealed record PlatformReport(IReadOnlyList<PlatformFinding> Findings)
{
    /// <summary>The first required feature that is missing, or null.</summary>
    public PlatformFinding? Obstacle => Findings.FirstOrDefault(f => f.Feature.Required && !f.Works);

    /// <summary>Whether a family can run here.</summary>
    public bool CanRun => Obstacle is null;

    /// <summary>One line that says why not, or null.</summary>
    public string? Refusal => Obstacle is { } f
        ? $"No family can run here: {f.Feature.Name} is missing ({f.Found}). {f.Feature.Without} `rpal doctor` shows all checks."
        : null;
}
