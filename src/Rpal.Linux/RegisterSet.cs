namespace Rpal.Linux;

/// <summary>Sets of PTRACE_GETREGSET: NT_*. Source: elf.h.</summary>
internal static class RegisterSet
{
    public const int Prstatus = 1;
    public const int X86Xstate = 0x202;
}
