using Rpal.Linux;
using Rpal.Machine.Blocks;
using static Iced.Intel.AssemblerRegisters;

namespace Rpal.Machine.Emit;

internal sealed partial class Emitter
{
    private const int SigInfoCode = SignalFrame.SiCode, SigInfoSyscall = SignalFrame.SiSyscall;
    private const int Rip = SignalFrame.Rip, Rsp = SignalFrame.Rsp, Rax = SignalFrame.Rax, Rsi = SignalFrame.Rsi;
    private const int SaNodefer = 0x40000000;

    /// <summary>si_code of an int3.</summary>
    private const int SiKernel = 0x80, Int3 = 0xCC;

    /// <summary>RFLAGS with nothing set but the bit that always is.</summary>
    private const int InitialFlags = 2;

    /// <summary>Most senders above a receiver that an eviction follows to find the kernel thread.</summary>
    private const int NestingSearchLimit = 16;

    /// <summary>A trampoline per member, so that a thread that never called knows whose handlers are meant.</summary>
    private void EmitTrampolines()
    {
        for (int member = 0; member < FamilyLayout.MemberCapacity; member++)
        {
            Here(TrampolineLabel(member));
            c.mov(ecx, member);
            c.jmp(L("on_signal"));
        }
    }

    private static string TrampolineLabel(int member) => $"trampoline_{member}";

    /// <summary>
    /// Every signal of an attached member comes here, with all signals blocked. In: edi = signal, rsi = siginfo, rdx = ucontext.
    /// </summary>
    /// <remarks>
    /// r12 = signal, r13 = siginfo, r14 = ucontext, r15 = member, rbx = this kernel thread's block, rbp = receiver.
    /// <code>
    /// own context ───────────────────────────────► the handler that the program asked for (chain)
    /// parked, receiver Ready ► Own, chain, Ready     parked, receiver elsewhere ► keep the signal, evict
    /// foreign: in the entry range ► roll the call back, look again
    ///          in the exit range  ► undo the answer, lazy switch    its last instruction ► complete it, look again
    ///          a system call that may run in place ► runs, no switch
    ///          else ► lazy switch
    /// </code></remarks>
    private void EmitOnSignal()
    {
        Here("on_signal");
        c.sub(rsp, 24);
        c.mov(r12d, edi);
        c.mov(r13, rsi);
        c.mov(r14, rdx);
        c.shl(rcx, (byte)System.Numerics.BitOperations.TrailingZeroCount(FamilyLayout.MemberAreaBytes));
        c.mov(r15, FamilyLayout.MemberAreaBase);
        c.add(r15, rcx);
        c.rdgsbase(rbx);
        c.test(rbx, rbx);
        c.je(L("no_block"));
        if (_inject)
        {
            EmitInjection();
        }

        Here("look_again");
        c.mov(rbp, __[rbx + ThreadBlock.CurrentOffset]);
        c.test(rbp, rbp);
        c.jne(L("maybe_foreign"));
        c.mov(rbp, __[rbx + ThreadBlock.ParkedOffset]);
        c.test(rbp, rbp);
        c.jne(L("maybe_parked"));

        Here("chain");
        c.call(L("chain_call"));
        Here("signal_return");
        c.add(rsp, 24);
        c.ret();

        // A thread's first call reads its block through GS and has none: as the kernel does it, a table of one fault and its way on.
        Here("no_block");
        c.cmp(r12d, SystemCall.SigSegv);
        c.jne(L("chain"));
        c.lea(rax, __[L("call_any")]);
        c.cmp(rax, __[r14 + Rip]);
        c.jne(L("chain"));
        c.lea(rax, __[L("not_armed")]);
        c.mov(__[r14 + Rip], rax);
        c.jmp(L("signal_return"));

        // GS is inherited by clone: a thread that an armed thread created carries its creator's block.
        Here("maybe_parked");
        EmitIsThisThread("chain");
        EmitParkedSignal();

        Here("maybe_foreign");
        EmitIsThisThread("chain");
        EmitForeignSignal();
        EmitLazySwitch();
        EmitEvict();
        EmitChain();
        EmitInPlaceStub();
    }

    private void EmitIsThisThread(string otherwise)
    {
        c.mov(eax, SystemCall.GetTid);
        c.syscall();
        c.cmp(eax, __dword_ptr[rbx + ThreadBlock.TidOffset]);
        c.jne(L(otherwise));
    }

    private void EmitForeignSignal()
    {
        c.mov(rdx, __[r14 + Rip]);
        JumpIfBetween("entry_selector", "entry_end", "call_roll_back");
        JumpIfBetween("exit_branch", "exit_done", "answer_undo");
        JumpIfBetween("exit_done", "exit_ready", "answer_complete");
        JumpIfBetween("nested_fs_load", "nested_done", "answer_undo");
        JumpIfBetween("nested_done", "nested_ready", "answer_complete");
        c.cmp(r12d, SystemCall.SigSys);
        c.jne(L("lazy_switch"));
        c.cmp(__dword_ptr[r13 + SigInfoCode], SystemCall.SysUserDispatch);
        c.jne(L("lazy_switch"));

        c.mov(eax, __dword_ptr[r13 + SigInfoSyscall]);
        c.cmp(eax, InPlaceTableBits);
        c.jae(L("lazy_switch"));
        c.lea(rcx, __[L("in_place_table")]);
        c.bt(__dword_ptr[rcx], eax);
        c.jae(L("lazy_switch"));
        c.cmp(eax, SystemCall.Futex);
        c.jne(L("in_place"));
        c.mov(ecx, __dword_ptr[r14 + Rsi]);
        c.and(ecx, SystemCall.FutexCommandMask);
        c.cmp(ecx, SystemCall.FutexCommandLast);
        c.ja(L("lazy_switch"));
        c.mov(edx, SystemCall.InPlaceFutexOperations);
        c.bt(edx, ecx);
        c.jae(L("lazy_switch"));

        // Resume at in_place_stub, below this frame, with the way back on the stack: the mask is the context's own, so the call
        // can be interrupted, and a lazy switch in the middle takes the stub along.
        Here("in_place");
        c.inc(__qword_ptr[rbp + ReceiverBlock.InPlaceOffset]);
        c.mov(__[r14 + Rax], rax);
        c.lea(rcx, __[rsp - 256]);
        c.and(rcx, -16);
        c.mov(rax, __[r14 + Rip]);
        c.mov(__[rcx], rax);
        c.mov(rax, __[r14 + Rsp]);
        c.mov(__[rcx + 8], rax);
        c.mov(__[r14 + Rsp], rcx);
        c.lea(rax, __[L("in_place_stub")]);
        c.mov(__[r14 + Rip], rax);
        c.jmp(L("signal_return"));

        // Nothing of the receiver was touched yet: as if it had not been claimed.
        Here("call_roll_back");
        c.inc(__qword_ptr[rbp + ReceiverBlock.CallsRolledBackOffset]);
        EmitBackToSender();
        c.lea(rax, __[L("entry_retry")]);
        c.mov(__[r14 + Rip], rax);
        EmitReady(rbp, "call_rolled_back");
        c.jmp(L("look_again"));

        Here("answer_undo");
        c.inc(__qword_ptr[rbp + ReceiverBlock.AnswersRolledBackOffset]);
        c.lea(rax, __[L("exit_check")]);
        c.mov(__[r14 + Rip], rax);
        c.jmp(L("lazy_switch"));

        // The sender's stack and FS are in place, and this frame lies on that stack.
        Here("answer_complete");
        c.inc(__qword_ptr[rbp + ReceiverBlock.AnswersForwardOffset]);
        EmitBackToSender();
        c.lea(rax, __[L("exit_end")]);
        c.mov(__[r14 + Rip], rax);
        c.mov(__dword_ptr[rbp + ReceiverBlock.StateOffset], (int)ReceiverState.Ready);
        c.jmp(L("look_again"));
    }

    /// <summary>rdx in [from, to) jumps. Changes rax.</summary>
    private void JumpIfBetween(string from, string to, string target)
    {
        string outside = $"{from}..{target}.outside";
        c.lea(rax, __[L(from)]);
        c.cmp(rdx, rax);
        c.jb(L(outside));
        c.lea(rax, __[L(to)]);
        c.cmp(rdx, rax);
        c.jb(L(target));
        Here(outside);
    }

    /// <summary>rbx = kernel thread, rbp = its current receiver: block, selector and FS are the sender's again. Out: r8 = sender. Changes rax, rcx.</summary>
    private void EmitBackToSender()
    {
        c.mov(r8, __[rbp + ReceiverBlock.SenderOffset]);
        c.xor(eax, eax);
        c.cmp(r8, rbx);
        c.cmovne(rax, __qword_ptr[r8 + ThreadBlock.OwnReceiverOffset]);
        c.mov(__[rbx + ThreadBlock.CurrentOffset], rax);
        c.test(rax, rax);
        c.setne(cl);
        c.mov(__[rbx + ThreadBlock.SelectorOffset], cl);
        c.mov(rax, __[r8 + ThreadBlock.FsOffset]);
        c.wrfsbase(rax);
    }

    /// <summary>
    /// Gives the foreign context back to its own kernel thread. The frame goes to the receiver's parking region; this kernel
    /// thread becomes the sender waiting for the reply; only then is the receiver's kernel thread woken.
    /// </summary>
    private void EmitLazySwitch()
    {
        Here("lazy_switch");
        c.inc(__qword_ptr[rbp + ReceiverBlock.LazyOffset]);
        c.mov(rsi, __[r14 + SignalFrame.FpRegs]);
        c.mov(ecx, FxsaveBytes);
        c.cmp(__dword_ptr[rsi + SignalFrame.FxsaveMagic1], (int)SignalFrame.FxsaveMagic1Value);
        c.jne(L("lazy_copy_xstate"));
        c.mov(ecx, __dword_ptr[rsi + SignalFrame.FxsaveExtendedSize]);
        Here("lazy_copy_xstate");
        c.mov(r10, __[rbp + ReceiverBlock.FrameAreaOffset]);
        c.lea(r9, __[r10 + FrameXstateOffset]);
        c.mov(rdi, r9);
        c.rep.movsb();
        c.mov(rdi, r10);
        c.mov(rsi, r14);
        c.mov(ecx, SignalFrame.UcontextSizeBytes);
        c.rep.movsb();
        c.mov(__[r10 + SignalFrame.FpRegs], r9);
        c.cmp(r12d, SystemCall.SigTrap);
        c.je(L("lazy_trap"));
        c.cmp(r12d, SystemCall.SigSys);
        c.jne(L("lazy_frame_ready"));
        c.cmp(__dword_ptr[r13 + SigInfoCode], SystemCall.SysUserDispatch);
        c.jne(L("lazy_frame_ready"));
        c.sub(__qword_ptr[r10 + Rip], 2);                        // the system call runs again, at home
        c.mov(eax, __dword_ptr[r13 + SigInfoSyscall]);
        c.mov(__[r10 + Rax], rax);
        c.jmp(L("lazy_frame_ready"));
        Here("lazy_trap");                                       // a breakpoint is behind its instruction already: at home it must trap again
        c.cmp(__dword_ptr[r13 + SigInfoCode], SiKernel);
        c.jne(L("lazy_frame_ready"));
        c.mov(rax, __[r10 + Rip]);
        c.cmp(__byte_ptr[rax - 1], Int3);
        c.jne(L("lazy_frame_ready"));
        c.dec(__qword_ptr[r10 + Rip]);
        Here("lazy_frame_ready");
        c.mov(__[rbp + ReceiverBlock.FrameOffset], r10);

        EmitIsSynchronous("lazy_no_requeue");
        EmitRequeue();
        Here("lazy_no_requeue");

        EmitBackToSender();                                      // r8 = sender
        c.mov(eax, __dword_ptr[r8 + ThreadBlock.ReplyOffset]);
        c.and(eax, ~3);
        c.add(eax, 4);
        c.mov(__dword_ptr[r8 + ThreadBlock.ReplyOffset], eax);
        c.mov(__dword_ptr[rbp + ReceiverBlock.PendingSequenceOffset], eax);
        c.mov(rdx, __[r14 + SignalFrame.FpRegs]);                // until the answer brings them: as the handler had them now
        c.mov(eax, __dword_ptr[rdx + FxsaveMxcsr]);
        c.mov(__dword_ptr[r8 + ThreadBlock.MxcsrOffset], eax);
        c.movzx(eax, __word_ptr[rdx]);
        c.mov(__word_ptr[r8 + ThreadBlock.X87ControlOffset], ax);
        c.mov(rdx, __[r14 + SignalFrame.UcSigmask]);
        c.mov(rbx, r8);
        c.mov(rsp, __[r8 + ThreadBlock.RspOffset]);
        c.sub(rsp, 256);
        c.and(rsp, -16);
        c.push(InitialFlags);                                    // the handler's alignment-check flag is not the sender's
        c.popfq();
        c.mov(__[rsp], rdx);

        ReadTscAndCpu();
        c.mov(__dword_ptr[rbp + ReceiverBlock.PeerCpuOffset], ecx);
        c.mov(eax, __dword_ptr[rbp + ReceiverBlock.HomeCpuOffset]);
        c.mov(__dword_ptr[rbx + ThreadBlock.PeerCpuOffset], eax);

        // SYNC pending-gone: this exchange, then the look at the state, pairs with the host's store of Gone, then its look at Pending.
        c.mov(rax, rbx);
        c.xchg(__[rbp + ReceiverBlock.PendingOffset], rax);
        c.mov(rax, __[rbp + ReceiverBlock.HomeOffset]);
        c.mov(rax, __[rax + ThreadBlock.MemberOffset]);
        c.cmp(__dword_ptr[rax + MemberBlock.StateOffset], (int)MemberState.Running);
        c.jne(L("lazy_gone"));

        c.mov(__dword_ptr[rbp + ReceiverBlock.StateOffset], (int)ReceiverState.Own);
        c.mov(eax, (int)ReceiverBlock.WakeNow);                  // from here the receiver's kernel thread may run on its stack
        c.xchg(__[rbp + ReceiverBlock.WakeOffset], eax);
        c.cmp(eax, (int)ReceiverBlock.WakeAsleep);
        c.jne(L("lazy_wait"));
        c.lea(rdi, __[rbp + ReceiverBlock.WakeOffset]);
        FutexWake(1);
        Here("lazy_wait");
        c.mov(rsi, rsp);
        EmitSetMask();
        c.jmp(L("wait_reply"));

        // Nobody is left to take it. Whoever takes Pending, this thread or the host, writes the reply.
        Here("lazy_gone");
        c.mov(__dword_ptr[rbp + ReceiverBlock.StateOffset], (int)ReceiverState.Dead);
        c.xor(eax, eax);
        c.xchg(__[rbp + ReceiverBlock.PendingOffset], rax);
        c.test(rax, rax);
        c.je(L("lazy_wait"));
        c.or(__dword_ptr[rbx + ThreadBlock.ReplyOffset], (int)CallResult.PeerDied);     // SYNC reply: pairs with wait_reply
        c.jmp(L("lazy_wait"));
    }

    /// <summary>Offset of the extended state in a receiver's frame area: behind the ucontext, 64-byte aligned.</summary>
    internal const int FrameXstateOffset = 512;

    /// <summary>FXSAVE: x87 control word first, MXCSR at 24.</summary>
    private const int FxsaveMxcsr = 24;

    /// <summary>The extended state when the kernel wrote no size: plain FXSAVE.</summary>
    private const int FxsaveBytes = 512;

    /// <summary>Jumps when the signal was caused by the interrupted instruction, which will cause it again at home. Changes rax, rcx.</summary>
    private void EmitIsSynchronous(string target)
    {
        const int synchronous = 1 << SystemCall.SigIll | 1 << SystemCall.SigTrap | 1 << SystemCall.SigBus | 1 << SystemCall.SigFpe | 1 << SystemCall.SigSegv | 1 << SystemCall.SigSys;
        string queue = target + ".not";
        c.cmp(r12d, SystemCall.SigSys);
        c.ja(L(queue));
        c.mov(eax, unchecked(synchronous));
        c.bt(eax, r12d);
        c.jae(L(queue));
        c.cmp(__dword_ptr[r13 + SigInfoCode], 0);
        c.jg(L(target));
        Here(queue);
    }

    /// <summary>Sends the signal with its siginfo to this thread again: delivered when the mask opens, one context further home.
    /// rbx = kernel thread. Changes rax, rcx, rdx, rdi, rsi, r10, r11.</summary>
    private void EmitRequeue()
    {
        c.inc(__qword_ptr[rbx + ThreadBlock.RequeuedOffset]);
        c.mov(edi, __dword_ptr[rbx + ThreadBlock.PidOffset]);
        c.mov(esi, __dword_ptr[rbx + ThreadBlock.TidOffset]);
        c.mov(edx, r12d);
        c.mov(r10, r13);
        c.mov(eax, SystemCall.RtTgsigqueueinfo);
        c.syscall();
    }

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

    /// <summary>Calls the handler that the program asked for, with the mask that it would have had. r12 to r15 as in on_signal.</summary>
    private void EmitChain()
    {
        Here("chain_call");
        c.sub(rsp, 56);                                          // 0 mask, 8 record, 16..48 a zero action
        c.mov(rax, __[r15 + r12 * 8 + MemberBlock.ActionsOffset]);
        c.test(rax, rax);
        c.je(L("chain_default"));
        c.mov(__[rsp + 8], rax);
        c.mov(rdx, __[r14 + SignalFrame.UcSigmask]);
        c.or(rdx, __[rax + 24]);
        c.test(__dword_ptr[rax + 8], SaNodefer);
        c.jne(L("chain_mask"));
        c.lea(ecx, __[r12 - 1]);
        c.bts(rdx, rcx);
        Here("chain_mask");
        c.mov(__[rsp], rdx);
        c.mov(rsi, rsp);
        EmitSetMask();
        c.mov(rax, __[rsp + 8]);
        c.mov(rax, __[rax]);
        c.cmp(rax, 1);
        c.je(L("chain_return"));
        c.jb(L("chain_default"));
        c.mov(edi, r12d);
        c.mov(rsi, r13);
        c.mov(rdx, r14);
        c.call(rax);
        Here("chain_return");
        c.add(rsp, 56);
        c.ret();

        // The default action: give it back to the kernel; a fault repeats, anything else is sent again.
        Here("chain_default");
        c.xor(eax, eax);
        c.mov(__[rsp + 16], rax);
        c.mov(__[rsp + 24], rax);
        c.mov(__[rsp + 32], rax);
        c.mov(__[rsp + 40], rax);
        c.mov(edi, r12d);
        c.lea(rsi, __[rsp + 16]);
        c.xor(edx, edx);
        c.mov(r10d, SystemCall.SignalSetBytes);
        c.mov(eax, SystemCall.RtSigaction);
        c.syscall();
        EmitIsSynchronous("chain_return");
        c.mov(eax, SystemCall.GetTid);
        c.syscall();
        c.mov(esi, eax);
        c.mov(edi, __dword_ptr[r15 + MemberBlock.PidOffset]);
        c.mov(edx, r12d);
        c.mov(r10, r13);
        c.mov(eax, SystemCall.RtTgsigqueueinfo);
        c.syscall();
        c.jmp(L("chain_return"));

        Begin(Routine.Restorer, "restorer");
        c.mov(eax, SystemCall.RtSigreturn);
        c.syscall();
        c.ud2();
    }

    private const int InPlaceTableBits = 512;

    private void EmitInPlaceStub()
    {
        Here("in_place_stub");                                   // rcx and r11 are the system call's to change, so the way back may use rcx
        c.syscall();
        c.mov(rcx, __[rsp]);
        c.mov(rsp, __[rsp + 8]);
        c.jmp(rcx);

        byte[] table = new byte[InPlaceTableBits / 8];
        foreach (int number in SystemCall.InPlace)
        {
            table[number / 8] |= (byte)(1 << number % 8);
        }

        Here("in_place_table");
        c.db(table);
    }

    /// <summary>Breakpoints up to which an injection comes later than its distance says.</summary>
    private const int InjectSpread = 32;

    /// <summary>Injection builds: a breakpoint at a point becomes, every reload-th time or a little later, the header's signal to this thread.</summary>
    private void EmitInjection()
    {
        c.cmp(r12d, SystemCall.SigTrap);
        c.jne(L("look_again"));
        c.mov(rdx, __[r14 + Rip]);
        for (int point = 0; point < _points.Count; point++)
        {
            c.lea(rax, __[L(_points[point] + "@hit")]);
            c.mov(ecx, point);
            c.cmp(rdx, rax);
            c.je(L("injection"));
        }

        c.jmp(L("look_again"));
        Here("injection");
        c.mov(eax, __dword_ptr[rbx + ThreadBlock.InjectCountdownOffset]);
        c.test(eax, eax);
        c.je(L("signal_return"));
        c.dec(eax);
        c.mov(__dword_ptr[rbx + ThreadBlock.InjectCountdownOffset], eax);
        c.jne(L("signal_return"));
        c.rdtsc();                                               // a fixed distance would meet the same few points of every call
        c.and(eax, InjectSpread - 1);
        c.add(eax, __dword_ptr[rbx + ThreadBlock.InjectReloadOffset]);
        c.mov(__dword_ptr[rbx + ThreadBlock.InjectCountdownOffset], eax);
        LoadHeader(rax);
        c.@lock.inc(__dword_ptr[rax + rcx * 4 + FamilyHeader.PointHitsOffset]);
        c.mov(edi, __dword_ptr[rbx + ThreadBlock.PidOffset]);
        c.mov(esi, __dword_ptr[rbx + ThreadBlock.TidOffset]);
        c.mov(edx, __dword_ptr[rax + FamilyHeader.InjectSignalOffset]);
        c.mov(eax, SystemCall.Tgkill);
        c.syscall();
        c.jmp(L("signal_return"));
    }
}
