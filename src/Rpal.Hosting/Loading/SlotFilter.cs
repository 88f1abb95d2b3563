using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Loading;

/// <summary>The seccomp filter of every member: which of its system calls the host answers.</summary>
/// <remarks>
/// Only calls made by code that lies in a slot: a child that a member starts inherits the filter, but its code lies elsewhere
/// after exec, so it is not disturbed. Calls from the family's machine code lie outside the slots as well. Source: seccomp(2), seccomp_unotify(2).
/// </remarks>
internal static class SlotFilter
{
    private const uint OffsetNumber = 0, OffsetArch = 4, OffsetIpHigh = 12, OffsetFirstArgument = 16, OffsetMmapFlags = 16 + 3 * 8;

    public static SockFilter[] Build()
    {
        long[] answered =
        [
            SyscallNumber.Mremap, SyscallNumber.Shmat, SyscallNumber.RtSigaction, SyscallNumber.Readlink, SyscallNumber.Readlinkat, SyscallNumber.ExitGroup,
        ];
        const byte mmapFlagsBlock = 2;
        const uint answerZero = SeccompReturn.Errno;             // "errno 0": the call returns 0
        int fromAnswered = answered.Length;
        List<SockFilter> f =
        [
            new(BpfCode.LoadWordAbsolute, OffsetArch),
            new(BpfCode.JumpIfEqual, AuditArch.X86_64, 1, 0),
            new(BpfCode.Return, SeccompReturn.Allow),
            new(BpfCode.LoadWordAbsolute, OffsetNumber),
            new(BpfCode.JumpIfEqual, (uint)SyscallNumber.Brk, 0, 5),                                    // brk: one per address space, so nobody gets it; every libc falls back to mmap
            new(BpfCode.LoadWordAbsolute, OffsetIpHigh),
            new(BpfCode.JumpIfGreaterOrEqual, (uint)(FamilyLayout.SlotEnd >> 32), 1, 0),
            new(BpfCode.JumpIfGreaterOrEqual, (uint)(FamilyLayout.SlotBase >> 32), 1, 0),
            new(BpfCode.Return, SeccompReturn.Allow),
            new(BpfCode.Return, answerZero),
            new(BpfCode.JumpIfEqual, (uint)SyscallNumber.RtSigaction, 0, 4),                            // a call to the host: from anywhere, the trampolines too
            new(BpfCode.LoadWordAbsolute, OffsetFirstArgument),
            new(BpfCode.JumpIfGreaterOrEqual, (uint)HostCall.Attach, 0, 1),
            new(BpfCode.Return, SeccompReturn.UserNotif),
            new(BpfCode.LoadWordAbsolute, OffsetNumber),
            new(BpfCode.JumpIfEqual, (uint)SyscallNumber.Mmap, (byte)(fromAnswered + 1), 0),
        ];
        for (int i = 0; i < answered.Length; i++)
        {
            f.Add(new(BpfCode.JumpIfEqual, (uint)answered[i], (byte)(answered.Length - i - 1 + 1 + mmapFlagsBlock), 0));
        }

        f.Add(new(BpfCode.Return, SeccompReturn.Allow));
        f.Add(new(BpfCode.LoadWordAbsolute, OffsetMmapFlags));                                          // mmap: at a given address it goes where the member says
        f.Add(new(BpfCode.JumpIfAnyBit, MapFlags.Fixed | MapFlags.FixedNoreplace, 3, 0));
        f.Add(new(BpfCode.LoadWordAbsolute, OffsetIpHigh));
        f.Add(new(BpfCode.JumpIfGreaterOrEqual, (uint)(FamilyLayout.SlotEnd >> 32), 1, 0));
        f.Add(new(BpfCode.JumpIfGreaterOrEqual, (uint)(FamilyLayout.SlotBase >> 32), 1, 0));
        f.Add(new(BpfCode.Return, SeccompReturn.Allow));
        f.Add(new(BpfCode.Return, SeccompReturn.UserNotif));
        return [.. f];
    }
}
