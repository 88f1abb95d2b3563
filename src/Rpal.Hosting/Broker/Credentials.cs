using Rpal.Linux;

namespace Rpal.Hosting.Broker;

/// <summary>
/// setuid(2) and the like of one member, where the host has no CAP_SYS_PTRACE. Then a member that becomes another user takes the host's
/// access to its
/// descriptors away, and to all members', because the kernel makes the address space non-dumpable. Setting that back would open the whole
/// family
/// to every process of the new user. So it is refused.
/// </summary>
/// <remarks>Calls that change nothing are the kernel's. Used by the member's broker thread only.</remarks>
internal sealed unsafe class Credentials(Notices notices)
{
    private const int EffectiveColumn = 2, FileSystemColumn = 4;

    /// <param name="number">Which call.</param>
    /// <param name="a">Its arguments.</param>
    /// <param name="tid">The thread that asks: credentials are each thread's own.</param>
    /// <returns>-EPERM, for setfsuid and setfsgid the number that stays; null: the kernel may do it.</returns>
    public nint? Change(long number, ulong* a, int tid)
    {
        (string ids, int count) = number switch
        {
            SyscallNumber.Setuid or SyscallNumber.Setfsuid => ("Uid:", 1),
            SyscallNumber.Setreuid => ("Uid:", 2),
            SyscallNumber.Setresuid => ("Uid:", 3),
            SyscallNumber.Setregid => ("Gid:", 2),
            SyscallNumber.Setresgid => ("Gid:", 3),
            _ => ("Gid:", 1),
        };
        string? line = File.ReadLines($"/proc/{tid}/status").FirstOrDefault(l => l.StartsWith(ids, StringComparison.Ordinal));
        if (line?.Split('\t') is not { Length: > FileSystemColumn } columns)
        {
            return null;                                         // it has ended meanwhile
        }

        int effective = (int)uint.Parse(columns[EffectiveColumn]);
        bool changes = false;
        for (int i = 0; i < count; i++)
        {
            changes |= (int)a[i] != -1 && (int)a[i] != effective;
        }

        if (!changes)
        {
            return null;
        }

        notices.Once(NoticeKind.ChangesIds, "becoming another user or group (setuid and the like) is refused (EPERM): rpal has no CAP_SYS_PTRACE, and could map files for no member any more. Give it that (docker run --cap-add SYS_PTRACE), or start rpal as that user.");
        return number is SyscallNumber.Setfsuid or SyscallNumber.Setfsgid ? (nint)uint.Parse(columns[FileSystemColumn]) : -(int)Errno.EPERM;
    }
}
