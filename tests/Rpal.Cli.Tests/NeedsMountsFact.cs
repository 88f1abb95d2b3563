namespace Rpal.Cli.Tests;

/// <summary>A test that needs namespaces of its own: reported as skipped where they are not allowed.</summary>
internal sealed class NeedsMountsFactAttribute : FactAttribute
{
    public NeedsMountsFactAttribute() => Skip = s_missing;

    /// <summary>unshare's words for what must be there first: a user namespace, unless root.</summary>
    public static string[] Unshare { get; } = Environment.UserName == "root" ? [] : ["-r"];

    private static readonly string? s_missing = CanUnshare() ? null : "needs PID and mount namespaces (root, or user namespaces)";

    private static bool CanUnshare()
    {
        try
        {
            return Child.Run(RunningFamily.Patience, "unshare", [.. Unshare, "--pid", "--fork", "--mount-proc", "true"]).ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }
}
