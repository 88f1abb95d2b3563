namespace Rpal.Gcc;

/// <summary>A test that compiles C: reported as skipped where there is no gcc, because one that just returned would count as passed.</summary>
internal sealed class NeedsGccFactAttribute : FactAttribute
{
    public NeedsGccFactAttribute() => Skip = Gcc.Missing;
}

/// <inheritdoc cref="NeedsGccFactAttribute"/>
internal sealed class NeedsGccTheoryAttribute : TheoryAttribute
{
    public NeedsGccTheoryAttribute() => Skip = Gcc.Missing;
}

internal static class Gcc
{
    /// <summary>Why tests that need gcc are skipped; null when it is there.</summary>
    public static string? Missing { get; } =
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(d => d.Length > 0 && File.Exists(Path.Combine(d, "gcc")))
            ? null
            : "needs gcc in PATH";
}
