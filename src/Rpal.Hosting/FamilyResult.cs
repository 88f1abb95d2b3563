namespace Rpal.Hosting;

/// <summary>How a member ended for good.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Exit">Of its last process.</param>
/// <param name="Ran">How long that ran.</param>
/// <param name="Restarts">Starts after the first.</param>
/// <param name="StoppedByName">It was stopped alone, on request.</param>
public sealed record MemberResult(string Name, MemberExit Exit, TimeSpan Ran, int Restarts, bool StoppedByName)
{
    /// <summary>Its end counts against the family.</summary>
    public bool Failed => Exit.ExitCode != 0 && !StoppedByName;
}

/// <summary>How a family's run ended: one entry per member that was started, in the order in which they ended for good.</summary>
/// <param name="Members">The members.</param>
public sealed record FamilyResult(IReadOnlyList<MemberResult> Members)
{
    /// <summary>The exit code of the first member that failed and was not restarted, or 0.</summary>
    public int ExitCode => Members.FirstOrDefault(m => m.Failed)?.Exit.ExitCode ?? 0;
}
