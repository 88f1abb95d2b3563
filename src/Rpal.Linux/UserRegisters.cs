using System.Runtime.InteropServices;

namespace Rpal.Linux;

/// <summary>struct user_regs_struct: a thread's general registers as ptrace(2) shows them.</summary>
/// <remarks>0 r15 | 8 r14 | 16 r13 | 24 r12 | 32 rbp | 40 rbx | 48 r11 | 56 r10 | 64 r9 | 72 r8 | 80 rax | 88 rcx | 96 rdx | 104 rsi | 112 rdi |
/// 120 orig_rax, the system call's number or -1 | 128 rip | 136 cs | 144 eflags | 152 rsp | 160 ss | 168 fs_base | 176 gs_base | 184 ds | 192 es | 200 fs | 208 gs; each u64</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct UserRegisters
{
    public const int SizeBytes = 216;
    [FieldOffset(0)] public long R15;
    [FieldOffset(8)] public long R14;
    [FieldOffset(16)] public long R13;
    [FieldOffset(24)] public long R12;
    [FieldOffset(32)] public long Rbp;
    [FieldOffset(40)] public long Rbx;
    [FieldOffset(48)] public long R11;
    [FieldOffset(56)] public long R10;
    [FieldOffset(64)] public long R9;
    [FieldOffset(72)] public long R8;
    [FieldOffset(80)] public long Rax;
    [FieldOffset(88)] public long Rcx;
    [FieldOffset(96)] public long Rdx;
    [FieldOffset(104)] public long Rsi;
    [FieldOffset(112)] public long Rdi;
    [FieldOffset(120)] public long OriginalRax;
    [FieldOffset(128)] public long Rip;
    [FieldOffset(136)] public long Cs;
    [FieldOffset(144)] public long Eflags;
    [FieldOffset(152)] public long Rsp;
    [FieldOffset(160)] public long Ss;
    [FieldOffset(168)] public long FsBase;
    [FieldOffset(176)] public long GsBase;
    [FieldOffset(184)] public long Ds;
    [FieldOffset(192)] public long Es;
    [FieldOffset(200)] public long Fs;
    [FieldOffset(208)] public long Gs;
}
