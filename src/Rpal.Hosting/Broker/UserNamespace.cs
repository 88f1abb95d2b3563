using Rpal.Linux;

namespace Rpal.Hosting.Broker;

/// <summary>User namespaces, by the names that /proc gives them: "user:[4026531837]".</summary>
/// <remarks>Comes back: the number in a name, once nobody is in the namespace; so names are compared while a thread or a descriptor holds
/// each.</remarks>
internal static class UserNamespace
{
    private const string Prefix = "user:[";

    /// <summary>CLONE_NEWUSER, which setns(2) knows as the kind.</summary>
    private const int Kind = 0x1000_0000;

    /// <summary>This process's.</summary>
    public static string? Own => Sys.Readlink("/proc/self/ns/user");

    /// <returns>Its name; null: it has ended, or the kernel does not tell.</returns>
    public static string? OfThread(int tid) => Sys.Readlink($"/proc/{tid}/ns/user");

    /// <summary>The user namespace that setns(2) would enter.</summary>
    /// <param name="tid">The calling thread.</param>
    /// <param name="fd">Its descriptor, of a namespace or of a process.</param>
    /// <param name="kinds">Kinds of namespaces; 0: whatever the descriptor is of.</param>
    /// <returns>A path to it; null when the call enters none.</returns>
    public static string? Entered(int tid, int fd, int kinds)
    {
        string path = $"/proc/{tid}/fd/{fd}";
        string? target = Sys.Readlink(path);
        if (kinds == 0 || target is null)
        {
            return target?.StartsWith(Prefix, StringComparison.Ordinal) == true ? path : null;
        }

        return (kinds & Kind) == 0 ? null : target.StartsWith(Prefix, StringComparison.Ordinal) ? path : $"/proc/{ProcessOf(tid, fd)}/ns/user";
    }

    /// <summary>Whether a thread's capabilities in a namespace are no more than it has already, so that the kernel leaves the address space
    /// dumpable: its own user made the namespace in its own. Source: cred_cap_issubset, kernel/cred.c.</summary>
    /// <param name="path">The namespace.</param>
    /// <param name="tid">The thread that would enter it.</param>
    /// <param name="user">Its effective user.</param>
    public static bool IsOwnedBy(string path, int tid, uint user)
    {
        int fd = Sys.Open(path, OpenFlags.ReadOnly | OpenFlags.CloseOnExec);
        if (fd < 0)
        {
            return false;
        }

        int parent = Sys.UserNamespaceParent(fd);
        bool owned = parent >= 0 && Sys.UserNamespaceOwner(fd, out uint owner) == 0 && owner == user
            && Sys.Readlink($"/proc/self/fd/{parent}") is { } name && name == OfThread(tid);
        _ = parent >= 0 ? Sys.Close(parent) : 0;
        _ = Sys.Close(fd);
        return owned;
    }

    /// <returns>The process that a pidfd names; 0: none, or it is no pidfd.</returns>
    private static int ProcessOf(int tid, int fd)
    {
        const string pid = "Pid:";
        string? line = File.ReadLines($"/proc/{tid}/fdinfo/{fd}").FirstOrDefault(static l => l.StartsWith(pid, StringComparison.Ordinal));
        return line is not null && int.TryParse(line.AsSpan(pid.Length), out int named) && named > 0 ? named : 0;
    }
}
