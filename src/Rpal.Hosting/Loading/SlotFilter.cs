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
///                                comparisons of high words and no host; for the rest the host looks exactly
/// </code>
/// What is not named here the kernel finds to be allowed without running the filter (its per-number cache, since 5.11).
/// </remarks>
internal static class SlotFilter
{
    private const uint OffsetNumber = 0, OffsetArch = 4, OffsetIpHigh = 12, OffsetFirstArgument = 16, OffsetAddressHigh = 16 + 4, OffsetLengthHigh = 16 + 8 + 4, OffsetMmapFlags = 16 + 3 * 8;

    private const string Allow = "allow", IfFromSlot = "if from slot", Break = "break", Mmap = "mmap", AtAddress = "at address", SignalAction = "signal action", Notify = "notify";

    /// <param name="slot">The member's.</param>
    public static SockFilter[] Build(int slot)
    {
        long[] answered =
        [
            SyscallNumber.Mremap, SyscallNumber.Shmat, SyscallNumber.Readlink, SyscallNumber.Readlinkat, SyscallNumber.ExitGroup,
        ];
        const uint answerZero = SeccompReturn.Errno;             // "errno 0": the call returns 0
        uint first = (uint)(FamilyLayout.Slot(slot) >> 32), last = (uint)((FamilyLayout.Slot(slot) + FamilyLayout.SlotBytes - 1) >> 32);
        FilterProgram f = new();
        f.Load(OffsetArch).Jump(BpfCode.JumpIfEqual, AuditArch.X86_64, no: Allow);
        f.Load(OffsetNumber);
        f.Jump(BpfCode.JumpIfEqual, (uint)SyscallNumber.Mmap, Mmap);
        f.Jump(BpfCode.JumpIfEqual, (uint)SyscallNumber.Munmap, AtAddress);
        f.Jump(BpfCode.JumpIfEqual, (uint)SyscallNumber.Brk, Break);
        f.Jump(BpfCode.JumpIfEqual, (uint)SyscallNumber.RtSigaction, SignalAction);
        foreach (long number in answered)
        {
            f.Jump(BpfCode.JumpIfEqual, (uint)number, IfFromSlot);
        }

        f.Return(SeccompReturn.Allow);
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
        f.Label(Allow).Return(SeccompReturn.Allow);
        return f.Build();
    }
}
