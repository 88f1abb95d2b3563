using Rpal.Hosting.Loading;
using Rpal.Linux;

namespace Rpal.Hosting.Broker;

/// <summary>
/// The calls of one member that set something for its whole address space, which is the family's: some are done to the member's own
/// mappings instead, others refused with the error of a kernel that does not have them. docs/address-space.md has them all.
/// </summary>
/// <remarks>Every call returns what the member is to see, 0 or more or -errno, or null: the kernel may do it. Used by the member's broker
/// thread only.</remarks>
internal sealed unsafe class AddressSpaceSettings(MappingDefaults defaults, Notices notices)
{
    private const int FutexHashSetSlots = 1;

    private readonly int _hostPid = Environment.ProcessId;
    private bool _notDumpable;

    /// <summary>prctl(2): <paramref name="a"/> are its five arguments.</summary>
    public nint? Prctl(ulong* a) => (int)a[0] switch
    {
        PrctlOp.GetDumpable => _notDumpable ? 0 : null,
        PrctlOp.SetDumpable => SetDumpable(a[1]),
        PrctlOp.GetThpDisable => (a[1] | a[2] | a[3] | a[4]) != 0 ? null : defaults.AvoidsHugePages ? 1 : 0,
        PrctlOp.SetThpDisable => (a[2] | a[3] | a[4]) != 0 ? -(int)Errno.EINVAL : defaults.AvoidHugePages(a[1] != 0),
        PrctlOp.SetMm => Refuse(NoticeKind.ProgramNotes, Errno.EPERM, "PR_SET_MM", "the kernel's notes on a program (its title among them) exist once"),
        PrctlOp.SetMdwe => Refuse(NoticeKind.DenyWriteExecute, Errno.EINVAL, "PR_SET_MDWE", "it would deny executable memory to all members, for ever"),
        PrctlOp.SetMemoryMerge => Refuse(NoticeKind.MemoryMerge, Errno.EINVAL, "PR_SET_MEMORY_MERGE", "it would have all members' memory merged; use madvise(MADV_MERGEABLE)"),
        PrctlOp.FutexHash => a[1] != FutexHashSetSlots ? null : Refuse(NoticeKind.FutexHash, Errno.EINVAL, "PR_FUTEX_HASH", "all members' locks use it"),
        _ => null,
    };

    /// <summary>mseal(2). A sealed page could never be unmapped, and its slot never be used again.</summary>
    public nint Seal()
    {
        notices.Once(NoticeKind.Seal, "mseal is refused (ENOSYS, as by Linux before 6.10): its slot could not be emptied when it ends.");
        return -(int)Errno.ENOSYS;
    }

    /// <summary>modify_ldt(2).</summary>
    public nint LocalDescriptors()
    {
        notices.Once(NoticeKind.LocalDescriptors, "modify_ldt is refused (ENOSYS): the family has one local descriptor table for all members.");
        return -(int)Errno.ENOSYS;
    }

    /// <summary>map_shadow_stack(2), ARCH_SHSTK_ENABLE. Calls switch stacks without the processor's knowledge.</summary>
    public nint ShadowStack()
    {
        notices.Once(NoticeKind.ShadowStack, "shadow stacks are refused (EOPNOTSUPP): calls between members switch stacks.");
        return -(int)Errno.EOPNOTSUPP;
    }

    /// <summary>setrlimit(2), prlimit(2) of RLIMIT_AS or RLIMIT_DATA. The kernel does it: the member's programs inherit the limit, and for them it is right.</summary>
    /// <param name="tid">The calling thread.</param>
    /// <param name="pid">Whose limit, as the caller numbers processes; 0: its own.</param>
    /// <param name="resource">Which.</param>
    /// <param name="limit">Where the new limit lies; 0: it is only asked for.</param>
    public nint? Limit(int tid, int pid, int resource, ulong limit)
    {
        ulong soft;
        if (limit != 0 && NamedProcess.IsOwn(tid, pid) && Sys.ProcessVmReadv(_hostPid, (nint)limit, &soft, sizeof(ulong)) == sizeof(ulong) && soft < Sys.NoLimit)
        {
            (NoticeKind kind, string name) = resource == (int)Resource.AddressSpace ? (NoticeKind.AddressSpaceLimit, "RLIMIT_AS") : (NoticeKind.DataLimit, "RLIMIT_DATA");
            notices.Once(kind, $"{name} of {soft >> 20} MiB is compared with the memory of the whole family: "
                + "its mappings at fixed addresses may fail (ENOMEM, libraries that it loads), and others are not limited. It holds for programs that it starts. Limit a member by a control group.");
        }

        return null;
    }

    /// <summary>migrate_pages(2).</summary>
    /// <param name="tid">The calling thread.</param>
    /// <param name="pid">Whose pages, as the caller numbers processes; 0: its own.</param>
    public nint? Migrate(int tid, int pid)
    {
        if (!NamedProcess.SharesMemory(tid, pid))
        {
            return null;
        }

        notices.Once(NoticeKind.MigratesAll, "migrate_pages is refused (EPERM): it would move all members' memory. Use move_pages or mbind.");
        return -(int)Errno.EPERM;
    }

    /// <summary>seccomp(2) and PR_SET_SECCOMP, of a member or of its child. What cannot be, the kernel refuses because of the member's own filter;
    /// here it is only said.</summary>
    public void Own(OwnFilter filter)
    {
        switch (filter)
        {
            case OwnFilter.Strict:
                notices.Once(NoticeKind.StrictMode, "seccomp's strict mode fails (EINVAL): a member has the family's filter already. Filters of its own are possible.");
                break;
            case OwnFilter.Listener:
                notices.Once(NoticeKind.FilterListener, "a seccomp filter with a listener fails (EBUSY): a process can have one, and a member has the family's. "
                    + "So a member can neither host a family nor supervise system calls.");
                break;
        }
    }

    private nint? SetDumpable(ulong dumpable)
    {
        if (dumpable > 1)
        {
            return -(int)Errno.EINVAL;
        }

        _notDumpable = dumpable == 0;
        if (_notDumpable)
        {
            notices.Once(NoticeKind.NotDumpable, "asks not to be dumpable (PR_SET_DUMPABLE 0): that would hold for all members, and stays without effect. Debuggers and core dumps can see its memory; set RLIMIT_CORE to 0 where that matters.");
        }

        return 0;
    }

    private nint Refuse(NoticeKind kind, Errno error, string option, string why)
    {
        notices.Once(kind, $"prctl({option}) is refused ({error}): {why}.");
        return -(int)error;
    }
}
