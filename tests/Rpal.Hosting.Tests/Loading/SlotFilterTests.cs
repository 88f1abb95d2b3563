using Rpal.Hosting.Loading;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Tests.Loading;

/// <summary>The filter, worked off as the kernel would.</summary>
public sealed class SlotFilterTests
{
    private const int Slot = 7;
    private const int Fixed = MapFlags.Private | MapFlags.Anonymous | MapFlags.Fixed;
    private const long GiB = 1L << 30, Code = 0x1234;

    private static readonly long s_base = FamilyLayout.Slot(Slot), s_end = s_base + FamilyLayout.SlotBytes;
    private static readonly SockFilter[] s_filter = SlotFilter.Build(Slot, keepsIdentity: false),
        s_keepsIdentity = SlotFilter.Build(Slot, keepsIdentity: true);

    public static TheoryData<string, long, long, uint> Ranges() => new()
    {
        { "the slot's first page", s_base, 4096, SeccompReturn.Allow },
        { "in its middle", s_base + 200 * GiB, 3 * GiB, SeccompReturn.Allow },
        { "just below its last 4 GiB", s_end - 4 * GiB - 4096, 4 * GiB - 4096, SeccompReturn.Allow },
        { "in its last 4 GiB", s_end - 4 * GiB, 4096, SeccompReturn.UserNotif },
        { "long", s_base, 4 * GiB, SeccompReturn.UserNotif },
        { "negative length", s_base, -4096, SeccompReturn.UserNotif },
        { "below", s_base - 4096, 4096, SeccompReturn.UserNotif },
        { "behind", s_end, 4096, SeccompReturn.UserNotif },
        { "address 0", 0, 4096, SeccompReturn.UserNotif },
        { "the kernel's half", -4096, 4096, SeccompReturn.UserNotif },
        { "the family's region", FamilyLayout.FamilyBase, 4096, SeccompReturn.UserNotif },
        { "the same low word in another slot", s_base + FamilyLayout.SlotBytes + 4096, 4096, SeccompReturn.UserNotif },
    };

    [Theory]
    [MemberData(nameof(Ranges))]
    public void Fixed_mappings_and_munmap_are_free_in_the_slot_and_the_hosts_elsewhere(string where, long address, long length, uint expected)
    {
        Assert.True(expected == Run(SyscallNumber.Mmap, s_base + Code, address, length, 0, Fixed), where);
        Assert.True(expected == Run(SyscallNumber.Mmap, s_base + Code, address, length, 0, MapFlags.Private | MapFlags.FixedNoreplace), where);
        Assert.True(expected == Run(SyscallNumber.Munmap, s_base + Code, address, length), where);
        Assert.True(SeccompReturn.Allow == Run(SyscallNumber.Munmap, 0x5555_5555_0000, address, length), $"{where}, from code outside the slots");
        Assert.True(SeccompReturn.Allow == Run(SyscallNumber.Mmap, FamilyLayout.CodeBase, address, length, 0, Fixed), $"{where}, from the machine code");
    }

    [Theory]
    [InlineData(SyscallNumber.Mmap, SeccompReturn.UserNotif)]
    [InlineData(SyscallNumber.Mremap, SeccompReturn.UserNotif)]
    [InlineData(SyscallNumber.Shmat, SeccompReturn.UserNotif)]
    [InlineData(SyscallNumber.RtSigaction, SeccompReturn.UserNotif)]
    [InlineData(SyscallNumber.ExitGroup, SeccompReturn.UserNotif)]
    [InlineData(SyscallNumber.Readlink, SeccompReturn.UserNotif)]
    [InlineData(SyscallNumber.Readlinkat, SeccompReturn.UserNotif)]
    [InlineData(SyscallNumber.Brk, SeccompReturn.Errno)]
    [InlineData(SyscallNumber.Mseal, SeccompReturn.UserNotif)]
    [InlineData(SyscallNumber.IoSetup, SeccompReturn.UserNotif)]
    [InlineData(SyscallNumber.Mlockall, SeccompReturn.UserNotif)]
    [InlineData(SyscallNumber.Setuid, SeccompReturn.Allow)]
    [InlineData(SyscallNumber.Mprotect, SeccompReturn.Allow)]
    [InlineData(SyscallNumber.Madvise, SeccompReturn.Allow)]
    [InlineData(SyscallNumber.Getpid, SeccompReturn.Allow)]
    [InlineData(SyscallNumber.Futex, SeccompReturn.Allow)]
    public void What_the_host_answers_it_answers_for_code_in_any_slot_only(long number, uint expected)
    {
        long[] inSlots = [FamilyLayout.SlotBase, s_base + Code, s_end - 2, FamilyLayout.SlotEnd - 2];
        long[] outside = [0x5555_5555_0000, 0x7FFF_0000_0000, FamilyLayout.SlotBase - 2, FamilyLayout.SlotEnd, FamilyLayout.CodeBase];
        Assert.All(inSlots, ip => Assert.Equal(expected, Run(number, ip)));
        Assert.All(outside, ip => Assert.Equal(SeccompReturn.Allow, Run(number, ip)));
    }

    [Theory]
    [InlineData(SyscallNumber.Prctl, PrctlOp.SetDumpable, 0, SeccompReturn.UserNotif)]
    [InlineData(SyscallNumber.Prctl, PrctlOp.SetMdwe, 0, SeccompReturn.UserNotif)]
    [InlineData(SyscallNumber.Prctl, PrctlOp.SetName, 0, SeccompReturn.Allow)]
    [InlineData(SyscallNumber.ArchPrctl, ArchPrctlOp.EnableShadowStack, 0, SeccompReturn.UserNotif)]
    [InlineData(SyscallNumber.ArchPrctl, 0x1002, 0, SeccompReturn.Allow)]
    [InlineData(SyscallNumber.Seccomp, SeccompOp.SetModeStrict, 0, SeccompReturn.UserNotif)]
    [InlineData(SyscallNumber.Seccomp, SeccompOp.SetModeFilter, SeccompFlags.NewListener | SeccompFlags.Log, SeccompReturn.UserNotif)]
    [InlineData(SyscallNumber.Seccomp, SeccompOp.SetModeFilter, SeccompFlags.Log, SeccompReturn.UserNotif)]
    [InlineData(SyscallNumber.Seccomp, 2, 0, SeccompReturn.Allow)]
    public void Options_that_concern_the_family_are_the_hosts_for_code_in_a_slot(long number, long first, long second, uint expected)
    {
        Assert.Equal(expected, Run(number, s_base + Code, first, second));
        Assert.Equal(SeccompReturn.Allow, Run(number, 0x5555_5555_0000, first, second));
    }

    [Fact]
    public void Changes_of_the_user_are_the_hosts_where_it_may_not_trace()
    {
        Assert.Equal(SeccompReturn.UserNotif, Run(SyscallNumber.Setresgid, s_base + Code, filter: s_keepsIdentity));
        Assert.Equal(SeccompReturn.Allow, Run(SyscallNumber.Setresgid, 0x5555_5555_0000, filter: s_keepsIdentity));
        Assert.Equal(SeccompReturn.UserNotif, Run(SyscallNumber.Mmap, s_base + Code, filter: s_keepsIdentity));
    }

    [Theory]
    [InlineData(FamilyLayout.CodeBase)]
    [InlineData(FamilyLayout.SlotBase)]
    public void A_call_to_the_host_reaches_it_from_anywhere(long ip) => Assert.Equal(SeccompReturn.UserNotif, Run(SyscallNumber.RtSigaction, ip, (long)HostCall.Attach));

    [Fact]
    public void Calls_in_32_bit_mode_are_refused_from_a_slot_and_left_alone_elsewhere()
    {
        const uint i386 = 0x4000_0003;
        Assert.Equal(SeccompReturn.Errno | (uint)Errno.ENOSYS, Run(SyscallNumber.Mmap, s_base, 0, 4096, 0, 0, architecture: i386));
        Assert.Equal(SeccompReturn.Allow, Run(SyscallNumber.Mmap, 0x0804_8000, 0, 4096, 0, 0, architecture: i386));
    }

    private static uint Run(long number, long ip, long a = 0, long b = 0, long c = 0, long d = 0, uint architecture = AuditArch.X86_64,
        SockFilter[]? filter = null)
    {
        uint[] words = [(uint)number, architecture, .. new[] { ip, a, b, c, d, 0, 0 }.SelectMany(v => new[] { (uint)v, (uint)(v >> 32) })];
        uint accumulator = 0;
        for (int pc = 0; ; pc++)
        {
            SockFilter f = (filter ?? s_filter)[pc];
            bool? jump = f.Code switch
            {
                BpfCode.JumpIfEqual => accumulator == f.K,
                BpfCode.JumpIfGreaterOrEqual => accumulator >= f.K,
                BpfCode.JumpIfAnyBit => (accumulator & f.K) != 0,
                _ => null,
            };
            if (f.Code == BpfCode.Return)
            {
                return f.K;
            }

            accumulator = f.Code == BpfCode.LoadWordAbsolute ? words[f.K / 4] : accumulator;
            pc += jump switch { true => f.JumpTrue, false => f.JumpFalse, null => 0 };
        }
    }
}
