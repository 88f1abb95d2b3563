namespace Rpal.Cli.Output;

/// <summary>What can be shown where standard output and standard error lead.</summary>
internal static class Terminal
{
    /// <summary>Source: no-color.org; a terminal that names itself dumb has no colours either.</summary>
    public static bool HasColors(bool isError) =>
        !(isError ? Console.IsErrorRedirected : Console.IsOutputRedirected)
        && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"))
        && Environment.GetEnvironmentVariable("TERM") is { Length: > 0 } and not "dumb";
}
