namespace Rpal.Cli;

/// <summary>What went wrong, as one line on standard error.</summary>
internal static class Problem
{
    /// <returns>The exit code, to be handed on.</returns>
    public static int Report(int exitCode, string message)
    {
        Console.Error.WriteLine($"rpal: {message.ReplaceLineEndings(" ").TrimEnd()}");
        return exitCode;
    }
}
