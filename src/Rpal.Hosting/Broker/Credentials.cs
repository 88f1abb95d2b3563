using Rpal.Linux;

namespace Rpal.Hosting.Broker;

/// <summary>
/// setuid(2) and the like, and setns(2), of one member, where the host has no CAP_SYS_PTRACE. Then a member that becomes another user, or
/// enters another user's namespace, takes the host's access to its descriptors away, and to all members', because the kernel makes the
/// address space non-dumpable. To set that back would open the whole family to every process of the new user. So it is refused.
/// </summary>
/// <remarks>
/// Users are compared as the host numbers them: user 0 of a namespace can be any (<see cref="IdMap"/>). Calls that change nothing are the
/// kernel's. unshare(2) and clone(2) of a user namespace change nothing either: its owner is the user who makes it. Used by the member's
/// broker thread only.
/// </remarks>
internal sealed unsafe class Credentials(Notices notices)
{
    private const int EffectiveColumn = 2, FileSystemColumn = 4;
    private const string Users = "Uid:", Groups = "Gid:";

    private const string Remedy = "rpal has no CAP_SYS_PTRACE, and could map files for no member any more. Give it that (docker run --cap-add SYS_PTRACE)";

    /// <param name="number">Which call.</param>
    /// <param name="a">Its arguments.</param>
    /// <param name="tid">The thread that asks: credentials are each thread's own.</param>
    /// <returns>-EPERM, for setfsuid and setfsgid the number that stays; null: the kernel may do it.</returns>
    /// <exception cref="IOException">The thread has ended.</exception>
    public nint? Change(long number, ulong* a, int tid)
    {
        (string ids, int count) = number switch
        {
            SyscallNumber.Setuid or SyscallNumber.Setfsuid => (Users, 1),
            SyscallNumber.Setreuid => (Users, 2),
            SyscallNumber.Setresuid => (Users, 3),
            SyscallNumber.Setregid => (Groups, 2),
            SyscallNumber.Setresgid => (Groups, 3),
            _ => (Groups, 1),
        };
        if (Numbers(tid, ids) is not { } columns)
        {
            return null;                                         // it has ended meanwhile
        }

        IdMap? map = IdMap.Of(tid, groups: ids == Groups);
        uint? wanted = null;
        for (int i = 0; i < count; i++)
        {
            uint inside = (uint)a[i];
            uint? here = map is null ? inside : map.Here(inside);
            if (inside == uint.MaxValue || here is null)
            {
                continue;                                        // stays; or the kernel refuses it (EINVAL): it has no such number
            }

            wanted = here == columns[EffectiveColumn] ? wanted : here;
        }

        if (wanted is null)
        {
            return null;
        }

        string of = map is null ? "" : $" (in its user namespace; outside {(wanted == uint.MaxValue ? "one that has no number here" : $"it is {wanted}")})";
        notices.Once(NoticeKind.ChangesIds, $"becoming another user or group (setuid and the like) is refused (EPERM){of}: {Remedy}, or start rpal as that user.");
        uint stays = columns[FileSystemColumn];
        return number is SyscallNumber.Setfsuid or SyscallNumber.Setfsgid ? (nint)(map?.Inside(stays) ?? stays) : -(int)Errno.EPERM;
    }

    /// <summary>setns(2).</summary>
    /// <param name="fd">The caller's descriptor of a namespace, or of a process.</param>
    /// <param name="kinds">Which namespaces of it; 0: the one.</param>
    /// <param name="tid">The thread that asks.</param>
    /// <returns>-EPERM; null: the kernel may do it.</returns>
    /// <exception cref="IOException">The thread has ended.</exception>
    public nint? Enter(int fd, int kinds, int tid)
    {
        if (UserNamespace.Entered(tid, fd, kinds) is not { } path || Numbers(tid, Users) is not { } columns || UserNamespace.IsOwnedBy(path, tid, columns[EffectiveColumn]))
        {
            return null;
        }

        notices.Once(NoticeKind.EntersNamespace, $"entering a user namespace (setns) that its user did not make is refused (EPERM): {Remedy}. A program that it executes may enter.");
        return -(int)Errno.EPERM;
    }

    /// <returns>The columns of its line in /proc/TID/status, the name first; null: it has ended.</returns>
    private static uint[]? Numbers(int tid, string line) =>
        File.ReadLines($"/proc/{tid}/status").FirstOrDefault(l => l.StartsWith(line, StringComparison.Ordinal))?.Split('\t') is { Length: > FileSystemColumn } columns
            ? [0, .. columns.Skip(1).Select(uint.Parse)]
            : null;
}
