using Rpal.Linux;
using Rpal.Machine.Blocks;
using static Iced.Intel.AssemblerRegisters;

namespace Rpal.Machine.Emit;

internal sealed partial class Emitter
{
    /// <summary>Most senders above a receiver that an eviction follows to find the kernel thread.</summary>
    private const int NestingSearchLimit = 16;

    /// <summary>
    /// A signal for a receiver's own kernel thread while it is parked. Its handler would use thread-local storage that a
    /// foreign context may be using at this moment, so the receiver is taken first; if it is away, it is called home.
    /// </summary>
    private void EmitParkedSignal()
    {
        c.mov(eax, (int)ReceiverState.Ready);
        c.mov(ecx, (int)ReceiverState.Own);
        c.@lock.cmpxchg(__dword_ptr[rbp + ReceiverBlock.StateOffset], ecx);
        c.je(L("parked_ready"));
        c.cmp(eax, (int)ReceiverState.Foreign);
        c.jne(L("chain"));

        c.mov(__dword_ptr[rbp + ReceiverBlock.DeferredOffset], 1);
        c.inc(__qword_ptr[rbp + ReceiverBlock.EvictionsOffset]);
        c.mov(__qword_ptr[r14 + SignalFrame.UcSigmask], -1);
        EmitRequeue();
        c.mov(rdx, __[r14 + Rip]);                               // a restarted futex call would sleep on without the deferred signal's time limit
        JumpIfBetween("park_sleep", "park_slept", "park_again");
        c.mov(rdx, rbp);
        c.call(L("evict"));
        c.jmp(L("signal_return"));
        Here("park_again");
        c.lea(rax, __[L("park_sleep")]);
        c.mov(__[r14 + Rip], rax);
        c.mov(rdx, rbp);
        c.call(L("evict"));
        c.jmp(L("signal_return"));

        Here("parked_ready");
        KillPoint("parked_own");
        c.call(L("chain_call"));
        EmitReady(rbp, "parked_given_back");
        c.jmp(L("signal_return"));
    }

    /// <summary>
    /// Signals the kernel thread that executes a receiver's context; one that cannot be found just now is looked for again.
    /// In: rdx = receiver. Changes rax, rcx, rdx, rdi, rsi, r11.
    /// </summary>
    private void EmitEvict()
    {
        Here("evict");
        c.mov(rdx, __[rdx + ReceiverBlock.SenderOffset]);
        c.mov(ecx, NestingSearchLimit);
        Here("evict_search");
        c.test(rdx, rdx);
        c.je(L("evict_return"));
        c.cmp(__qword_ptr[rdx + ThreadBlock.CurrentOffset], 0);
        c.jne(L("evict_found"));
        c.mov(rdx, __[rdx + ThreadBlock.OwnReceiverOffset]);
        c.test(rdx, rdx);
        c.je(L("evict_return"));
        c.mov(rdx, __[rdx + ReceiverBlock.SenderOffset]);
        c.dec(ecx);
        c.jne(L("evict_search"));
        c.ret();
        Here("evict_found");
        c.mov(edi, __dword_ptr[rdx + ThreadBlock.PidOffset]);
        c.mov(esi, __dword_ptr[rdx + ThreadBlock.TidOffset]);
        c.mov(edx, SystemCall.Activation);
        c.mov(eax, SystemCall.Tgkill);
        c.syscall();
        Here("evict_return");
        c.ret();
    }
}
