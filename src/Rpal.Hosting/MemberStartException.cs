namespace Rpal.Hosting;

/// <summary>A member could not be started. Nothing of it is left.</summary>
public sealed class MemberStartException : Exception
{
    /// <param name="exitCode">What a shell would return: 127 not found, 126 found but cannot be started, 125 the host could not provide for it.</param>
    /// <param name="message">One line: what, why, what to do.</param>
    public MemberStartException(int exitCode, string message)
        : base(message) => ExitCode = exitCode;

    /// <summary>The exit code a shell would give.</summary>
    public int ExitCode { get; }
}
