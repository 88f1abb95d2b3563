using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Loading;

/// <summary>The seccomp filter of a member: which of its system calls the host answers.</summary>
/// <remarks>
/// Only calls made by code that lies in a slot: a child that a member starts inherits the filter, but its code lies elsewhere
/// after exec, so it is not disturbed. Calls from the family's machine code lie outside the slots as well. Source: seccomp(2), seccomp_unotify(2).
/// <code>
/// mmap without an address        the host places it
/// mmap at a fixed one, munmap    free in the member's own slot: a start below its last 4 GiB and a length below 4 GiB need two
/// and others of a range          comparisons of high words and no host; for the rest the host looks exactly
/// prctl, arch_prctl, seccomp     by their first argument
/// </code>
/// What is not named here the kernel finds to be allowed without running the filter (its per-number cache, since 5.11).
/// docs/address-space.md
/// has every system call of the kernel, and a test compares it with this table. madvise is not here: it is made in place by threads
/// that execute another member's code, whose slot is not the filter's.
/// </remarks>
internal static class SlotFilter
{
    private const uint OffsetNumber = 0, OffsetArch = 4, OffsetIpHigh = 12, OffsetFirstArgument = 16, OffsetAddressHigh = 16 + 4, OffsetSecondArgument = 16 + 8, OffsetLengthHigh = 16 + 8 + 4, OffsetMmapFlags = 16 + 3 * 8;

    private const string Allow = "allow", IfFromSlot = "if from slot", Break = "break", Mmap = "mmap", AtAddress = "at address", SignalAction = "signal action", Notify = "notify",
        Option = "option", ArchOption = "architecture's option", OwnFilter = "own filter", OtherMode = "other mode", Limit = "limit", LimitOf = "limit of";

    /// <summary>The calls that are looked at, and where that goes on: the most frequent first.</summary>
    private static readonly (long Number, string Then)[] s_rules =
    [
        (SyscallNumber.Mmap, Mmap),
        (SyscallNumber.Munmap, AtAddress),
        (SyscallNumber.Brk, Break),
        (SyscallNumber.RtSigaction, SignalAction),
        (SyscallNumber.Prctl, Option),
        (SyscallNumber.Mremap, IfFromSlot),
        (SyscallNumber.Readlink, IfFromSlot),
        (SyscallNumber.Readlinkat, IfFromSlot),
        (SyscallNumber.ExitGroup, IfFromSlot),
        (SyscallNumber.Execve, IfFromSlot),
        (SyscallNumber.Execveat, IfFromSlot),
        (SyscallNumber.ArchPrctl, ArchOption),
        (SyscallNumber.Mlock, AtAddress),
        (SyscallNumber.Mlock2, AtAddress),
        (SyscallNumber.Munlock, AtAddress),
        (SyscallNumber.Mbind, AtAddress),
        (SyscallNumber.SetMempolicyHomeNode, AtAddress),
        (SyscallNumber.RemapFilePages, AtAddress),
        (SyscallNumber.Shmdt, AtAddress),
        (SyscallNumber.Shmat, IfFromSlot),
        (SyscallNumber.Mlockall, IfFromSlot),
        (SyscallNumber.Munlockall, IfFromSlot),
        (SyscallNumber.IoSetup, IfFromSlot),
        (SyscallNumber.IoDestroy, IfFromSlot),
        (SyscallNumber.Mseal, IfFromSlot),
        (SyscallNumber.ModifyLdt, IfFromSlot),
        (SyscallNumber.MigratePages, IfFromSlot),
        (SyscallNumber.MapShadowStack, IfFromSlot),
        (SyscallNumber.Seccomp, OwnFilter),
        (SyscallNumber.Setrlimit, Limit),
        (SyscallNumber.Prlimit64, LimitOf),
    ];

    /// <summary>Looked at where <see cref="Broker.Credentials"/> has a reason to refuse them.</summary>
    private static readonly long[] s_identity =
    [
        SyscallNumber.Setuid, SyscallNumber.Setgid, SyscallNumber.Setreuid, SyscallNumber.Setregid, SyscallNumber.Setresuid, SyscallNumber.Setresgid, SyscallNumber.Setfsuid, SyscallNumber.Setfsgid,
        SyscallNumber.Setns,
    ];

    /// <summary>The options of prctl that are looked at.</summary>
    public static IReadOnlyList<int> PrctlOptions { get; } =
    [
        PrctlOp.SetDumpable, PrctlOp.GetDumpable, PrctlOp.SetThpDisable, PrctlOp.GetThpDisable, PrctlOp.SetMm, PrctlOp.SetMdwe, PrctlOp.SetMemoryMerge, PrctlOp.FutexHash, PrctlOp.SetSeccomp,
    ];

    /// <summary>The options of arch_prctl that are looked at.</summary>
    public static IReadOnlyList<int> ArchPrctlOptions { get; } = [ArchPrctlOp.EnableShadowStack];

    /// <summary>The resources whose limits are looked at: what the kernel compares with them is the family's.</summary>
    private static readonly int[] s_limits = [(int)Resource.Data, (int)Resource.AddressSpace];

    /// <summary>The system calls that are looked at, in some family or other.</summary>
    public static IEnumerable<long> Numbers => s_rules.Select(static r => r.Number).Concat(s_identity);

    /// <param name="slot">The member's.</param>
    public static SockFilter[] Build(int slot) => Build(slot, keepsIdentity: !HostCapabilities.MayTrace);

    /// <param name="slot">The member's.</param>
    /// <param name="keepsIdentity">Whether changes of user, group and user namespace are looked at, see <see cref="Broker.Credentials"/>.</param>
    public static SockFilter[] Build(int slot, bool keepsIdentity)
    {
        const uint answerZero = SeccompReturn.Errno;             // "errno 0": the call returns 0
        uint first = (uint)(FamilyLayout.Slot(slot) >> 32), last = (uint)((FamilyLayout.Slot(slot) + FamilyLayout.SlotBytes - 1) >> 32);
        FilterProgram f = new();
        f.Load(OffsetArch).Jump(BpfCode.JumpIfEqual, AuditArch.X86_64, no: OtherMode);
        f.Load(OffsetNumber);
        foreach ((long number, string then) in keepsIdentity ? [.. s_rules, .. s_identity.Select(static n => (n, IfFromSlot))] : s_rules)
        {
            f.Jump(BpfCode.JumpIfEqual, (uint)number, then);
        }

        f.Return(SeccompReturn.Allow);
        f.Label(Option).Load(OffsetFirstArgument);
        JumpToHost(PrctlOptions);
        f.Label(ArchOption).Load(OffsetFirstArgument);
        JumpToHost(ArchPrctlOptions);
        f.Label(Limit).Load(OffsetFirstArgument);
        JumpToHost(s_limits);
        f.Label(LimitOf).Load(OffsetSecondArgument);
        JumpToHost(s_limits);
        f.Label(OwnFilter).Load(OffsetFirstArgument);
        f.Jump(BpfCode.JumpIfEqual, SeccompOp.SetModeStrict, IfFromSlot);
        f.Jump(BpfCode.JumpIfEqual, SeccompOp.SetModeFilter, IfFromSlot, Allow);
        f.Label(Mmap).Load(OffsetMmapFlags);
        f.Jump(BpfCode.JumpIfAnyBit, MapFlags.Fixed | MapFlags.FixedNoreplace, no: IfFromSlot);
        f.Label(AtAddress).Load(OffsetAddressHigh);
        f.Jump(BpfCode.JumpIfGreaterOrEqual, last, IfFromSlot);
        f.Jump(BpfCode.JumpIfGreaterOrEqual, first, no: IfFromSlot);
        f.Load(OffsetLengthHigh);
        f.Jump(BpfCode.JumpIfEqual, 0, Allow, IfFromSlot);
        f.Label(SignalAction).Load(OffsetFirstArgument);         // a call to the host: from anywhere, the trampolines too
        f.Jump(BpfCode.JumpIfGreaterOrEqual, (uint)HostCall.Attach, Notify);
        f.Label(IfFromSlot).Load(OffsetIpHigh);
        f.Jump(BpfCode.JumpIfGreaterOrEqual, (uint)(FamilyLayout.SlotEnd >> 32), Allow);
        f.Jump(BpfCode.JumpIfGreaterOrEqual, (uint)(FamilyLayout.SlotBase >> 32), no: Allow);
        f.Label(Notify).Return(SeccompReturn.UserNotif);
        f.Label(Break).Load(OffsetIpHigh);                       // one per address space, so nobody gets it; every libc falls back to mmap
        f.Jump(BpfCode.JumpIfGreaterOrEqual, (uint)(FamilyLayout.SlotEnd >> 32), Allow);
        f.Jump(BpfCode.JumpIfGreaterOrEqual, (uint)(FamilyLayout.SlotBase >> 32), no: Allow);
        f.Return(answerZero);
        f.Label(OtherMode).Load(OffsetIpHigh);                   // 32-bit calls have other numbers: from a slot there are none
        f.Jump(BpfCode.JumpIfGreaterOrEqual, (uint)(FamilyLayout.SlotEnd >> 32), Allow);
        f.Jump(BpfCode.JumpIfGreaterOrEqual, (uint)(FamilyLayout.SlotBase >> 32), no: Allow);
        f.Return(SeccompReturn.Errno | (uint)Errno.ENOSYS);
        f.Label(Allow).Return(SeccompReturn.Allow);
        return f.Build();

        void JumpToHost(IReadOnlyList<int> options)
        {
            foreach (int option in options)
            {
                f.Jump(BpfCode.JumpIfEqual, (uint)option, IfFromSlot);
            }

            f.Return(SeccompReturn.Allow);
        }
    }
}
