namespace Rpal.Machine.Emit;

/// <summary>System call numbers and constants as the machine code uses them. Source: asm/unistd_64.h, linux/futex.h, linux/prctl.h.</summary>
internal static class SystemCall
{
    public const int RtSigaction = 13, RtSigprocmask = 14, RtSigreturn = 15, GetPid = 39, Clone = 56, Kill = 62, Prctl = 157, GetTid = 186, Futex = 202,
        ExitGroup = 231, Tgkill = 234, RtTgsigqueueinfo = 297, Sigaltstack = 131;

    public const int FutexWaitPrivate = 0x80, FutexWakePrivate = 0x81;
    public const int SetMask = 2, SignalSetBytes = 8;
    public const int PrSetSyscallUserDispatch = 59, DispatchOn = 1;
    public const int CloneVm = 0x100, CloneFiles = 0x400, SigChld = 17;

    /// <summary>Signals that an instruction causes; the instruction repeats when its frame is resumed.</summary>
    public const int SigIll = 4, SigTrap = 5, SigBus = 7, SigFpe = 8, SigKill = 9, SigSegv = 11, SigSys = 31;

    /// <summary>Signals whose default action ends the process, as bits from signal 1 on: all but SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH. Source: signal(7).</summary>
    public const long EndsProcess = ~(1L << 16 | 1L << 17 | 1L << 18 | 1L << 19 | 1L << 20 | 1L << 21 | 1L << 22 | 1L << 27);

    /// <summary>The activation signal of CoreCLR (SIGRTMIN of glibc). Its handler ignores it when another process sent it, so it
    /// serves to evict a foreign context from a kernel thread of any member that calls.</summary>
    public const int Activation = 34;

    /// <summary>si_code of a SIGSYS that Syscall User Dispatch raised.</summary>
    public const int SysUserDispatch = 2;

    /// <summary>
    /// System calls that a foreign context makes where it is, on another process's kernel thread. So each concerns the shared address space or
    /// nobody, and the kernel asks the calling process for nothing: no limit (mprotect: RLIMIT_DATA), no personality (mprotect), no clock of its
    /// own, no number, no capability. What the kernel asks of every call, the filter, is looked at: <see cref="Blocks.MemberBlock.OwnFilter"/>.
    /// futex by operation, see <see cref="InPlaceFutexOperations"/>; clocks by number, see <see cref="InPlaceClocks"/>.
    /// </summary>
    public static readonly int[] InPlace =
    [
        24,  // sched_yield
        28,  // madvise
        35,  // nanosleep
        96,  // gettimeofday
        201, // time
        202, // futex
        ClockFirst, // clock_gettime
        229, // clock_getres
        ClockLast, // clock_nanosleep
        309, // getcpu
        318, // getrandom
        324, // membarrier
    ];

    /// <summary>The calls that name a clock first.</summary>
    public const int ClockFirst = 228, ClockLast = 230;

    /// <summary>REALTIME, MONOTONIC, MONOTONIC_RAW, REALTIME_COARSE, MONOTONIC_COARSE, BOOTTIME, TAI. Not those that count a process's or a thread's
    /// time, are found through a descriptor, or need a capability.</summary>
    public const int InPlaceClocks = 1 << 0 | 1 << 1 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << ClockNumberLast;

    public const int ClockNumberLast = 11;

    /// <summary>WAIT, WAKE, REQUEUE, CMP_REQUEUE, WAKE_OP, WAIT_BITSET, WAKE_BITSET. Not the PI operations: they see the TID.</summary>
    public const int InPlaceFutexOperations = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 9 | 1 << 10;

    public const int FutexCommandMask = 0x7F, FutexCommandLast = 10;
}
