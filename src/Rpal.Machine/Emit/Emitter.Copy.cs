using Rpal.Linux;
using Rpal.Machine.Blocks;
using static Iced.Intel.AssemblerRegisters;

namespace Rpal.Machine.Emit;

internal sealed partial class Emitter
{
    /// <summary>
    /// A copy that survives its memory: when either side turns out not to be mapped, or not to be allowed, it ends early.
    /// In: rdi = to, rsi = from, rdx = bytes. Out: rax = bytes that were not copied.
    /// </summary>
    /// <remarks>
    /// One instruction touches the memory, and it keeps its count in a register while it runs: interrupted by a signal or moved home by
    /// a lazy switch, it goes on where it was; faulting, it goes on behind itself. <c>copy_fault</c> is its recovery point.
    /// </remarks>
    private void EmitCopy()
    {
        Begin(Routine.Copy, "copy");
        c.mov(rcx, rdx);
        Here("copy_move");
        c.rep.movsb();
        Here("copy_fault");
        c.mov(rax, rcx);
        c.ret();
    }

    /// <summary>
    /// The trampolines' first look, before any state: a fault of <c>copy_move</c>, or of a first look through a GS that somebody took, goes
    /// on at its recovery point. So it holds at home, foreign and in a thread without a block alike, and neither a switch nor the program's
    /// handler comes of it.
    /// In: edi = signal, rsi = siginfo, rdx = ucontext, on the stack as the kernel left it. Changes rax.
    /// </summary>
    private void EmitRecoveryPoint()
    {
        c.cmp(edi, SystemCall.SigSegv);
        c.je(L("fault"));
        c.cmp(edi, SystemCall.SigBus);
        c.jne(L("not_a_copy"));
        Here("fault");
        c.cmp(__dword_ptr[rsi + SigInfoCode], 0);                // sent, not raised by the instruction: somebody else's business
        c.jle(L("not_a_copy"));
        foreach (string section in (string[])[.. _sections, Number])
        {
            EmitRecovery(section, section + "_no_cpu", $"not_{section}");
        }

        EmitRecovery("exit_check", "gs_lost", "not_the_exit");
        EmitRecovery("call", "not_own", "not_the_call");
        EmitRecovery("copy_move", "copy_fault", "not_a_copy");
    }

    /// <summary>A fault of the instruction at <paramref name="at"/> goes on at <paramref name="recovery"/>. Changes rax.</summary>
    private void EmitRecovery(string at, string recovery, string otherwise)
    {
        c.lea(rax, __[L(at)]);
        c.cmp(rax, __[rdx + Rip]);
        c.jne(L(otherwise));
        c.lea(rax, __[L(recovery)]);
        c.mov(__[rdx + Rip], rax);
        c.ret();
        Here(otherwise);
    }
}
