using System.Runtime.InteropServices;
using Rpal.Linux;

namespace Rpal.Hosting.Loading;

/// <summary>Who is in this address space, and whether it is dumpable.</summary>
/// <remarks>Comes back: a PID, between the look at a process and its kill. So it is looked at again behind a pidfd.</remarks>
internal static unsafe class AddressSpace
{
    private static readonly Lock s_lock = new();
    private static (int User, int Group) s_user;
    private static readonly long* s_question = (long*)NativeMemory.AllocZeroed(sizeof(long));

    /// <summary>Whether a process is in this address space: a word that changes with every question has its last value in a copy.</summary>
    public static bool IsSharedBy(int pid)
    {
        lock (s_lock)
        {
            long seen = 0;
            *s_question += 1;
            return Sys.ProcessVmReadv(pid, (nint)s_question, &seen, sizeof(long)) == sizeof(long) && seen == *s_question;
        }
    }

    /// <summary>
    /// Whether a process is in another address space than this one. False as well when it has none, because it is ending, and when its
    /// memory cannot be read: neither proves that it has left this one. Source: process_vm_readv(2), EFAULT.
    /// </summary>
    public static bool IsOutside(int pid)
    {
        lock (s_lock)
        {
            long seen = 0;
            *s_question += 1;
            nint r = Sys.ProcessVmReadv(pid, (nint)s_question, &seen, sizeof(long));
            return r == -(int)Errno.EFAULT || (r == sizeof(long) && seen != *s_question);
        }
    }

    /// <summary>
    /// Makes this address space dumpable, before there is a member. A host whose program has capabilities or cannot be read starts without,
    /// and the kernel refuses it its
    /// members' descriptors then. Members are refused what would clear it later, see <see cref="Broker.Credentials"/>; this program is not:
    /// see <see cref="KeepDumpable"/>.
    /// </summary>
    public static void MakeDumpable()
    {
        if (!HostCapabilities.MayTrace)
        {
            s_user = Identity();
            _ = Sys.Prctl(PrctlOp.SetDumpable, 1, 0, 0, 0);
        }
    }

    /// <summary>
    /// Makes it dumpable again when this program itself has cleared it: by PR_SET_DUMPABLE, or by a change of its user or group and back.
    /// While it is another user than at the start it stays so: else processes of that user could read the family.
    /// </summary>
    /// <returns>A line for the operator, or null: nothing was lost.</returns>
    public static string? KeepDumpable()
    {
        const nint dumpable = 1;                                 // SUID_DUMP_USER
        if (HostCapabilities.MayTrace || Sys.Prctl(PrctlOp.GetDumpable, 0, 0, 0, 0) == dumpable)
        {
            return null;
        }

        if (Identity() != s_user)
        {
            return "maps no files any more (ENOMEM): the program that hosts the family has changed its user or group and has no CAP_SYS_PTRACE. Change it before the family starts, or give it that (docker run --cap-add SYS_PTRACE).";
        }

        int r = (int)Sys.Prctl(PrctlOp.SetDumpable, dumpable, 0, 0, 0);
        return r < 0 ? $"maps no files any more (ENOMEM): the family's dumpable flag was cleared, and PR_SET_DUMPABLE fails: {ErrnoText.Describe(r)}."
            : "the family's dumpable flag was cleared by the program that hosts it (PR_SET_DUMPABLE, or a change of its user and back): without it no member could map a file, as rpal has no CAP_SYS_PTRACE. It is set again.";
    }

    /// <summary>Generations of children that share the address space; one that is deeper counts as no orphan.</summary>
    private const int DepthLimit = 256;

    /// <summary>Processes in this address space that a member left behind when it was gone, and that have executed no program yet.
    /// No parent of theirs that is in this address space descends from <paramref name="parents"/>.</summary>
    /// <param name="parents">This process and the members that live.</param>
    public static IReadOnlyList<int> Orphans(IReadOnlySet<int> parents)
    {
        List<int> orphans = [];
        foreach (string directory in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(directory.AsSpan()), out int pid) && IsOrphan(pid, parents))
            {
                orphans.Add(pid);
            }
        }

        return orphans;
    }

    /// <summary>
    /// Kills an orphan. Its number may be another process's by now, or a new member's: a descriptor holds on to one process, and that one
    /// is looked at again.
    /// </summary>
    /// <param name="pid">Was an orphan a moment ago.</param>
    /// <param name="parents">As for <see cref="Orphans"/>, read after it.</param>
    /// <returns>Whether it was killed; false too when the host has no descriptor free: it is found again.</returns>
    public static bool KillOrphan(int pid, IReadOnlySet<int> parents)
    {
        int pidfd = Sys.PidfdOpen(pid, 0);
        if (pidfd < 0)
        {
            return false;
        }

        bool killed = IsOrphan(pid, parents) && Sys.PidfdSendSignal(pidfd, Signal.SIGKILL) == 0;
        _ = Sys.Close(pidfd);
        return killed;
    }

    /// <summary>A parent in this address space is a parent: its child is looked after as long as it is.</summary>
    private static bool IsOrphan(int pid, IReadOnlySet<int> parents)
    {
        int one = pid;
        for (int depth = 0; depth < DepthLimit; depth++)
        {
            if (parents.Contains(one))
            {
                return false;
            }

            if (!IsSharedBy(one))
            {
                return depth > 0;                                // its parent has left, or is another that took it in
            }

            one = ParentOf(one);
        }

        return false;
    }

    private static (int User, int Group) Identity() => (Sys.Geteuid(), Sys.Getegid());

    /// <returns>0 when the process is gone.</returns>
    private static int ParentOf(int pid)
    {
        try
        {
            string line = File.ReadLines($"/proc/{pid}/status").First(l => l.StartsWith("PPid:", StringComparison.Ordinal));
            return int.Parse(line.AsSpan("PPid:".Length));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidOperationException)
        {
            return 0;
        }
    }
}
