namespace Rpal.Cli;

/// <summary>Exit codes of rpal's own. Source: sysexits.h; others are the members'.</summary>
internal static class ExitCode
{
    /// <summary>doctor: no family can run here.</summary>
    public const int CannotRun = 1;

    /// <summary>EX_USAGE: the command line or the family file is wrong.</summary>
    public const int Usage = 64;

    /// <summary>EX_NOINPUT: the family file cannot be read.</summary>
    public const int NoInput = 66;

    /// <summary>EX_UNAVAILABLE: no host to ask.</summary>
    public const int Unavailable = 69;
}
