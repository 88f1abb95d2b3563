using System.Diagnostics;

namespace Rpal.Hosting.Tests;

/// <summary>A host in a mount namespace of its own, where a folder is a file system mounted noexec.</summary>
internal static class MountedNoexec
{
    private static readonly string[] s_unshare = Environment.UserName == "root" ? ["-m"] : ["-r", "-m"];
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);

    /// <summary>Why tests that need it are skipped; null when mounts can be made.</summary>
    public static string? Missing { get; } = CanMount() ? null : "needs mounts in a namespace of its own (root, or user namespaces)";

    /// <summary>Has the host started there.</summary>
    /// <param name="start">How it is started otherwise.</param>
    /// <param name="folder">Where the file system is mounted.</param>
    /// <param name="prepare">Shell command to fill it.</param>
    public static void Wrap(ProcessStartInfo start, string folder, string prepare)
    {
        string[] words = [.. s_unshare, "sh", "-c", $"mount -t tmpfs -o noexec none {folder} && {prepare} && exec \"$0\" \"$@\"",
            start.FileName, .. start.ArgumentList];
        start.FileName = "unshare";
        start.ArgumentList.Clear();
        foreach (string word in words)
        {
            start.ArgumentList.Add(word);
        }
    }

    private static bool CanMount()
    {
        try
        {
            return Child.Run(s_limit, "unshare", [.. s_unshare, "mount", "-t", "tmpfs", "none", "/mnt"]).ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }
}

/// <summary>A test that mounts: reported as skipped where that is not allowed.</summary>
internal sealed class NeedsMountsFactAttribute : FactAttribute
{
    public NeedsMountsFactAttribute() => Skip = MountedNoexec.Missing;
}

/// <inheritdoc cref="NeedsMountsFactAttribute"/>
internal sealed class NeedsMountsTheoryAttribute : TheoryAttribute
{
    public NeedsMountsTheoryAttribute() => Skip = MountedNoexec.Missing;
}
