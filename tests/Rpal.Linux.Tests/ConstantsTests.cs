using System.Globalization;
using System.Reflection;
using System.Text.RegularExpressions;
using Xunit.Abstractions;

namespace Rpal.Linux.Tests;

/// <summary>Every constant of every constants class against the kernel's headers. A class that is not listed here fails the test.</summary>
public sealed partial class ConstantsTests(ITestOutputHelper output)
{
    private static readonly string[] LibcHeaders =
    [
        "errno.h", "poll.h", "signal.h", "ucontext.h", "fcntl.h", "sys/mman.h", "sys/epoll.h", "sys/eventfd.h", "sys/socket.h", "sys/wait.h",
        "sys/auxv.h", "sys/ioctl.h", "sys/uio.h", "sys/syscall.h", "linux/futex.h", "linux/prctl.h", "linux/seccomp.h", "linux/filter.h",
        "linux/audit.h", "linux/membarrier.h", "linux/mman.h", "linux/ptrace.h", "elf.h",
    ];

    /// <summary>libc's signal.h and the kernel's exclude each other.</summary>
    private static readonly string[] KernelSignalHeaders = ["linux/signal.h", "asm/sigcontext.h", "asm/ucontext.h"];

    private sealed record Source(string Prefix, Dictionary<string, string> Exceptions, bool KernelSignal = false);

    private static readonly Dictionary<Type, Source> Sources = new()
    {
        [typeof(Prot)] = new("PROT_", []),
        [typeof(MapFlags)] = new("MAP_", new()
        {
            ["Low32Bit"] = "MAP_32BIT",
            ["GrowsDown"] = "MAP_GROWSDOWN",
            ["NoReserve"] = "MAP_NORESERVE",
            ["NonBlock"] = "MAP_NONBLOCK",
            ["HugeTlb"] = "MAP_HUGETLB",
        }),
        [typeof(MremapFlags)] = new("MREMAP_", new() { ["MayMove"] = "MREMAP_MAYMOVE", ["DontUnmap"] = "MREMAP_DONTUNMAP" }),
        [typeof(MemoryAdvice)] = new("MADV_", new()
        {
            ["WillNeed"] = "MADV_WILLNEED",
            ["DontNeed"] = "MADV_DONTNEED",
            ["DontFork"] = "MADV_DONTFORK",
            ["DoFork"] = "MADV_DOFORK",
            ["HugePage"] = "MADV_HUGEPAGE",
            ["NoHugePage"] = "MADV_NOHUGEPAGE",
            ["DontDump"] = "MADV_DONTDUMP",
            ["WipeOnFork"] = "MADV_WIPEONFORK",
        }),
        [typeof(FutexOp)] = new("FUTEX_", []),
        [typeof(FileSeals)] = new("F_SEAL_", []),
        [typeof(MemfdFlags)] = new("MFD_", new() { ["CloseOnExec"] = "MFD_CLOEXEC", ["HugeTlb"] = "MFD_HUGETLB", ["HugePage2MiB"] = "MAP_HUGE_2MB" }),
        [typeof(PrctlOp)] = new("PR_", new()
        {
            ["SetParentDeathSignal"] = "PR_SET_PDEATHSIG",
            ["SetTimerSlack"] = "PR_SET_TIMERSLACK",
            ["SetNoNewPrivileges"] = "PR_SET_NO_NEW_PRIVS",
            ["GetNoNewPrivileges"] = "PR_GET_NO_NEW_PRIVS",
        }),
        [typeof(ArchPrctlOp)] = new("ARCH_", new() { ["EnableShadowStack"] = "ARCH_SHSTK_ENABLE" }),
        [typeof(LockFlags)] = new("MCL_", new() { ["OnFault"] = "MCL_ONFAULT" }),
        [typeof(SyscallUserDispatch)] = new("PR_SYS_DISPATCH_", new()
        {
            ["FilterAllow"] = "SYSCALL_DISPATCH_FILTER_ALLOW",
            ["FilterBlock"] = "SYSCALL_DISPATCH_FILTER_BLOCK",
        }),
        [typeof(SeccompOp)] = new("SECCOMP_", new() { ["GetActionAvailable"] = "SECCOMP_GET_ACTION_AVAIL" }),
        [typeof(SeccompFlags)] = new("SECCOMP_FILTER_FLAG_", new()
        {
            ["ThreadSync"] = "SECCOMP_FILTER_FLAG_TSYNC",
            ["ThreadSyncEsrch"] = "SECCOMP_FILTER_FLAG_TSYNC_ESRCH",
        }),
        [typeof(SeccompReturn)] = new("SECCOMP_RET_", []),
        [typeof(SeccompIoctl)] = new("SECCOMP_IOCTL_NOTIF_", new()
        {
            ["Receive"] = "SECCOMP_IOCTL_NOTIF_RECV",
            ["AddFd"] = "SECCOMP_IOCTL_NOTIF_ADDFD",
            // Computed, because headers before Linux 6.6 lack the name.
            ["SetFlags"] = "_IOW(SECCOMP_IOC_MAGIC, 4, unsigned long long)",
        }),
        [typeof(SeccompNotifFlags)] = new("", new()
        {
            ["Continue"] = "SECCOMP_USER_NOTIF_FLAG_CONTINUE",
            ["SyncWakeUp"] = "SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP",
        }),
        [typeof(BpfCode)] = new("", new()
        {
            ["LoadWordAbsolute"] = "BPF_LD | BPF_W | BPF_ABS",
            ["JumpAlways"] = "BPF_JMP | BPF_JA",
            ["JumpIfEqual"] = "BPF_JMP | BPF_JEQ | BPF_K",
            ["JumpIfGreater"] = "BPF_JMP | BPF_JGT | BPF_K",
            ["JumpIfGreaterOrEqual"] = "BPF_JMP | BPF_JGE | BPF_K",
            ["JumpIfAnyBit"] = "BPF_JMP | BPF_JSET | BPF_K",
            ["And"] = "BPF_ALU | BPF_AND | BPF_K",
            ["Return"] = "BPF_RET | BPF_K",
        }),
        [typeof(AuditArch)] = new("AUDIT_ARCH_", new() { ["X86_64"] = "AUDIT_ARCH_X86_64" }),
        [typeof(Signal)] = new("", []),
        [typeof(SignalActionFlags)] = new("SA_", new()
        {
            ["NoChildStop"] = "SA_NOCLDSTOP",
            ["NoChildWait"] = "SA_NOCLDWAIT",
            ["SigInfo"] = "SA_SIGINFO",
            ["OnStack"] = "SA_ONSTACK",
            ["NoDefer"] = "SA_NODEFER",
            ["ResetHandler"] = "SA_RESETHAND",
        }, KernelSignal: true),
        [typeof(SignalHandler)] = new("SIG_", new() { ["Default"] = "SIG_DFL", ["Ignore"] = "SIG_IGN" }),
        [typeof(SignalMaskHow)] = new("SIG_", new() { ["SetMask"] = "SIG_SETMASK" }),
        [typeof(SignalCode)] = new("", new()
        {
            ["User"] = "SI_USER",
            ["Kernel"] = "SI_KERNEL",
            ["Queue"] = "SI_QUEUE",
            ["Tkill"] = "SI_TKILL",
            ["SegvMapError"] = "SEGV_MAPERR",
            ["SegvAccessError"] = "SEGV_ACCERR",
            ["SegvPkeyError"] = "SEGV_PKUERR",
        }, KernelSignal: true),
        [typeof(SignalStackFlags)] = new("SS_", new()
        {
            ["OnStack"] = "SS_ONSTACK",
            ["AutoDisarm"] = "(int)SS_AUTODISARM",
        }, KernelSignal: true),
        [typeof(WaitOptions)] = new("W", new()
        {
            ["NoHang"] = "WNOHANG",
            ["NoWait"] = "WNOWAIT",
            ["CloneChildrenToo"] = "(int)__WCLONE",
            ["AnyChild"] = "__WALL",
            ["OwnThreadOnly"] = "__WNOTHREAD",
        }),
        [typeof(PtraceRequest)] = new("PTRACE_", new() { ["GetRegset"] = "PTRACE_GETREGSET" }),
        [typeof(PtraceOptions)] = new("PTRACE_O_", new() { ["TraceClone"] = "PTRACE_O_TRACECLONE", ["TraceExit"] = "PTRACE_O_TRACEEXIT" }),
        [typeof(PtraceEvent)] = new("PTRACE_EVENT_", []),
        [typeof(RegisterSet)] = new("NT_", new() { ["X86Xstate"] = "NT_X86_XSTATE" }),
        [typeof(MembarrierCommand)] = new("MEMBARRIER_CMD_", []),
        [typeof(AuxiliaryType)] = new("AT_", new()
        {
            ["PageSize"] = "AT_PAGESZ",
            ["HardwareCapabilities"] = "AT_HWCAP",
            ["HardwareCapabilities2"] = "AT_HWCAP2",
            ["MinimumSignalStackSize"] = "AT_MINSIGSTKSZ",
        }),
        [typeof(SocketDomain)] = new("AF_", []),
        [typeof(SocketType)] = new("SOCK_", new()
        {
            ["Datagram"] = "SOCK_DGRAM",
            ["SequencedPacket"] = "SOCK_SEQPACKET",
            ["NonBlocking"] = "SOCK_NONBLOCK",
            ["CloseOnExec"] = "SOCK_CLOEXEC",
        }),
        [typeof(EpollOp)] = new("EPOLL_CTL_", new() { ["Delete"] = "EPOLL_CTL_DEL", ["Modify"] = "EPOLL_CTL_MOD" }),
        [typeof(EpollEvents)] = new("EPOLL", new()
        {
            ["Error"] = "EPOLLERR",
            ["HangUp"] = "EPOLLHUP",
            ["ReadHangUp"] = "EPOLLRDHUP",
            ["OneShot"] = "EPOLLONESHOT",
            ["EdgeTriggered"] = "(unsigned)EPOLLET",
        }),
        [typeof(PollEvents)] = new("POLL", new()
        {
            ["Priority"] = "POLLPRI",
            ["Error"] = "POLLERR",
            ["HangUp"] = "POLLHUP",
            ["Invalid"] = "POLLNVAL",
            ["ReadHangUp"] = "POLLRDHUP",
        }),
        [typeof(OpenFlags)] = new("O_", new()
        {
            ["ReadOnly"] = "O_RDONLY",
            ["WriteOnly"] = "O_WRONLY",
            ["ReadWrite"] = "O_RDWR",
            ["Create"] = "O_CREAT",
            ["Exclusive"] = "O_EXCL",
            ["Truncate"] = "O_TRUNC",
            ["NonBlocking"] = "O_NONBLOCK",
            ["NoFollow"] = "O_NOFOLLOW",
            ["CloseOnExec"] = "O_CLOEXEC",
        }),
        [typeof(EventFdFlags)] = new("EFD_", new() { ["NonBlocking"] = "EFD_NONBLOCK", ["CloseOnExec"] = "EFD_CLOEXEC" }),
        [typeof(SyscallNumber)] = new("__NR_", []),
        [typeof(SignalFrame)] = new("", SignalFrameExpressions(), KernelSignal: true),
    };

    /// <summary>Newer than the oldest headers we build with: these alone may be missing there.</summary>
    private static readonly HashSet<string> MayBeMissing =
    [
        "SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "AT_RSEQ_FEATURE_SIZE", "AT_RSEQ_ALIGN",
        "AT_MINSIGSTKSZ", "MADV_POPULATE_READ", "MADV_POPULATE_WRITE", "PR_SET_MDWE", "PR_SET_MEMORY_MERGE", "PR_FUTEX_HASH",
        "ARCH_SHSTK_ENABLE", "__NR_set_mempolicy_home_node",
        "__NR_map_shadow_stack", "__NR_mseal",
    ];

    [NeedsGccFact]
    public void Every_constant_has_the_value_of_the_C_headers()
    {
        List<(string Name, long Value, string Expression, bool KernelSignal)> constants =
        [
            .. from type in ConstantsClasses()
               from field in ConstantsOf(type)
               let source = Sources[type]
               let expression = source.Exceptions.GetValueOrDefault(field.Name) ?? source.Prefix + UpperSnake(field.Name, type)
               select ($"{type.Name}.{field.Name}", ToLong(field), expression, source.KernelSignal),
            .. from errno in Enum.GetValues<Errno>() select ($"Errno.{errno}", (long)errno, errno.ToString(), false),
        ];
        Assert.True(constants.Count > 300, $"only {constants.Count} constants found");

        Dictionary<string, long?> libc = Ask(LibcHeaders, false);
        Dictionary<string, long?> kernel = Ask(KernelSignalHeaders, true);
        List<string> wrong = [];
        foreach (var constant in constants)
        {
            long? expected = (constant.KernelSignal ? kernel : libc)[constant.Expression];
            if (expected is null && MayBeMissing.Contains(constant.Expression))
            {
                output.WriteLine($"These headers have no {constant.Expression}; {constant.Name} not compared.");
            }
            else if (expected != constant.Value)
            {
                wrong.Add($"{constant.Name} is {constant.Value}, {constant.Expression} is {expected?.ToString(CultureInfo.InvariantCulture) ?? "missing"}");
            }
        }

        Assert.Empty(wrong);

        Dictionary<string, long?> Ask(string[] headers, bool kernelSignal) =>
            CompilerOracle.Evaluate(headers, constants.Where(c => c.KernelSignal == kernelSignal).Select(c => c.Expression));
    }

    [Fact]
    public void Every_constants_class_is_compared()
    {
        Type[] found = ConstantsClasses().ToArray();
        Assert.Empty(found.Except(Sources.Keys));
        Assert.Empty(Sources.Keys.Except(found));
    }

    private static IEnumerable<Type> ConstantsClasses() =>
        from type in typeof(Sys).Assembly.GetTypes()
        where type is { IsAbstract: true, IsSealed: true, Namespace: "Rpal.Linux" } && type != typeof(Sys) && ConstantsOf(type).Any()
        select type;

    private static IEnumerable<FieldInfo> ConstantsOf(Type type) =>
        type.GetFields(BindingFlags.Public | BindingFlags.Static).Where(f => f.IsLiteral);

    private static long ToLong(FieldInfo constant) => constant.GetRawConstantValue() switch
    {
        ulong u => unchecked((long)u),
        object other => Convert.ToInt64(other, CultureInfo.InvariantCulture),
        null => throw new InvalidOperationException(),
    };

    private static string UpperSnake(string name, Type type)
    {
        string snake = WordStart().Replace(name, "_");
        return type == typeof(SyscallNumber) ? snake.ToLowerInvariant() : snake.ToUpperInvariant();
    }

    [GeneratedRegex("(?<=[a-z0-9])(?=[A-Z])")]
    private static partial Regex WordStart();

    /// <summary>The kernel's struct sigcontext holds what libc calls gregs, at the head of uc_mcontext.</summary>
    private static Dictionary<string, string> SignalFrameExpressions()
    {
        Dictionary<string, string> expressions = new()
        {
            ["UcFlags"] = "offsetof(struct ucontext, uc_flags)",
            ["UcLink"] = "offsetof(struct ucontext, uc_link)",
            ["UcStack"] = "offsetof(struct ucontext, uc_stack)",
            ["Csgsfs"] = "offsetof(struct ucontext, uc_mcontext.cs)",
            ["FpRegs"] = "offsetof(struct ucontext, uc_mcontext.fpstate)",
            ["UcSigmask"] = "offsetof(struct ucontext, uc_sigmask)",
            ["UcontextSizeBytes"] = "sizeof(struct ucontext)",
            ["SiSigno"] = "offsetof(siginfo_t, si_signo)",
            ["SiErrno"] = "offsetof(siginfo_t, si_errno)",
            ["SiCode"] = "offsetof(siginfo_t, si_code)",
            ["SiPid"] = "offsetof(siginfo_t, si_pid)",
            ["SiCallAddr"] = "offsetof(siginfo_t, si_call_addr)",
            ["SiSyscall"] = "offsetof(siginfo_t, si_syscall)",
            ["SiArch"] = "offsetof(siginfo_t, si_arch)",
            ["FxsaveMagic1"] = "offsetof(struct _fpstate_64, sw_reserved.magic1)",
            ["FxsaveExtendedSize"] = "offsetof(struct _fpstate_64, sw_reserved.extended_size)",
            ["FxsaveXfeatures"] = "offsetof(struct _fpstate_64, sw_reserved.xfeatures)",
            ["FxsaveXstateSize"] = "offsetof(struct _fpstate_64, sw_reserved.xstate_size)",
            ["FxsaveMagic1Value"] = "FP_XSTATE_MAGIC1",
        };
        foreach (string register in (string[])["Rdi", "Rsi", "Rbp", "Rbx", "Rdx", "Rax", "Rcx", "Rsp", "Rip",
            "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15", "Eflags", "Err", "Trapno", "Oldmask", "Cr2"])
        {
            expressions[register] = $"offsetof(struct ucontext, uc_mcontext.{register.ToLowerInvariant()})";
        }

        return expressions;
    }
}
