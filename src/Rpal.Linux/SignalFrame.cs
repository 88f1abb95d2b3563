namespace Rpal.Linux;

/// <summary>Offsets in bytes into what the kernel pushes for a signal on x86-64. Written by the kernel, read and changed by handlers
/// in machine code; rt_sigreturn(2) reads it back.</summary>
/// <remarks>
/// <code>
/// ucontext  0 uc_flags u64 | 8 uc_link ptr | 16 uc_stack 24 bytes | 40 gregs u64[23] | 224 fpregs ptr | 232 reserved u64[8]
///           296 uc_sigmask u64 (the kernel's 8 bytes; libc declares 128) | 304 end
/// siginfo   0 si_signo i32 | 4 si_errno i32 | 8 si_code i32 | 16 union: si_pid i32 or si_call_addr ptr | 24 si_syscall i32 | 28 si_arch u32
/// fpregs    0 FXSAVE 512 bytes, of which 464 sw_reserved: magic1 u32 | 468 extended_size u32 | 472 xfeatures u64 | 480 xstate_size u32
/// </code>
/// Source: asm/ucontext.h, asm/sigcontext.h; a test compares each with offsetof.
/// </remarks>
internal static class SignalFrame
{
    public const int UcFlags = 0;
    public const int UcLink = 8;
    public const int UcStack = 16;
    public const int R8 = 40;
    public const int R9 = 48;
    public const int R10 = 56;
    public const int R11 = 64;
    public const int R12 = 72;
    public const int R13 = 80;
    public const int R14 = 88;
    public const int R15 = 96;
    public const int Rdi = 104;
    public const int Rsi = 112;
    public const int Rbp = 120;
    public const int Rbx = 128;
    public const int Rdx = 136;
    public const int Rax = 144;
    public const int Rcx = 152;
    public const int Rsp = 160;
    public const int Rip = 168;
    public const int Eflags = 176;
    public const int Csgsfs = 184;
    public const int Err = 192;
    public const int Trapno = 200;
    public const int Oldmask = 208;
    public const int Cr2 = 216;
    public const int FpRegs = 224;
    public const int UcSigmask = 296;
    public const int UcontextSizeBytes = 304;

    public const int SiSigno = 0;
    public const int SiErrno = 4;
    public const int SiCode = 8;
    public const int SiPid = 16;
    public const int SiCallAddr = 16;
    public const int SiSyscall = 24;
    public const int SiArch = 28;

    public const int FxsaveMagic1 = 464;
    public const int FxsaveExtendedSize = 468;
    public const int FxsaveXfeatures = 472;
    public const int FxsaveXstateSize = 480;
    public const uint FxsaveMagic1Value = 0x46505853;
}
