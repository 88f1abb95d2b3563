using System.Runtime.InteropServices;
using Rpal.Linux;

namespace Rpal.MemoryPeer.Roles;

/// <summary>A seccomp(2) filter for one thread: all it may do is write, and return from signals. Anything else ends the process with SIGSYS.</summary>
/// <remarks>Needs no privileges, works under another filter, and sees what strace would.</remarks>
internal static unsafe class NoSystemCalls
{
    private const int SetNoNewPrivileges = 38, SetSeccomp = 22, ModeFilter = 2;
    private const ushort LoadWord = 0x20, JumpIfEqual = 0x15, Return = 0x06;
    private const uint Allow = 0x7fff0000, KillProcess = 0x80000000;

    /// <summary>From now on, in this thread. Source: linux/filter.h, linux/seccomp.h.</summary>
    public static void Begin()
    {
        Instruction* program = stackalloc Instruction[]
        {
            new(LoadWord, 0, 0, 0),                              // the call's number
            new(JumpIfEqual, 2, 0, (uint)SyscallNumber.Write),
            new(JumpIfEqual, 1, 0, (uint)SyscallNumber.RtSigreturn),
            new(Return, 0, 0, KillProcess),
            new(Return, 0, 0, Allow),
        };
        var description = new Program { Length = 5, Instructions = program };
        Say("");                                                 // the way to write is there before it is the only one
        if (Sys.Invoke(SyscallNumber.Prctl, SetNoNewPrivileges, 1) != 0 || Sys.Invoke(SyscallNumber.Prctl, SetSeccomp, ModeFilter, (nint)(&description)) != 0)
        {
            throw new InvalidOperationException("No filter for system calls could be set.");
        }
    }

    /// <summary>To the test, without a call but write(2).</summary>
    public static void Say(string text)
    {
        byte* bytes = stackalloc byte[text.Length];
        for (int i = 0; i < text.Length; i++)
        {
            bytes[i] = (byte)text[i];
        }

        _ = Sys.Write(1, bytes, (nuint)text.Length);
    }

    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct Instruction(ushort Code, byte IfTrue, byte IfFalse, uint Value);

    [StructLayout(LayoutKind.Sequential)]
    private struct Program
    {
        public ushort Length;
        public Instruction* Instructions;
    }
}
