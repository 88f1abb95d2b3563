using Rpal.Linux;
using Rpal.Machine.Blocks;
using static Iced.Intel.AssemblerRegisters;

namespace Rpal.Machine.Emit;

internal sealed partial class Emitter
{
    /// <summary>si_code of an int3.</summary>
    private const int SiKernel = 0x80, Int3 = 0xCC;

    /// <summary>RFLAGS with nothing set but the bit that always is.</summary>
    private const int InitialFlags = 2;

    /// <summary>Offset of the extended state in a receiver's frame area: behind the ucontext, 64-byte aligned.</summary>
    internal const int FrameXstateOffset = 512;

    /// <summary>FXSAVE: x87 control word first, MXCSR at 24.</summary>
    private const int FxsaveMxcsr = 24;

    /// <summary>The extended state when the kernel wrote no size: plain FXSAVE.</summary>
    private const int FxsaveBytes = 512;

    private const int InPlaceTableBits = 512;

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
        c.mov(rcx, __[rbx + ThreadBlock.MemberOffset]);
        c.cmp(__dword_ptr[rcx + MemberBlock.OwnFilterOffset], 0);     // of this kernel thread's process: it would judge another's call
        c.jne(L("lazy_switch"));
        c.lea(ecx, __[rax - SystemCall.ClockFirst]);
        c.cmp(ecx, SystemCall.ClockLast - SystemCall.ClockFirst);
        c.ja(L("no_clock"));
        c.mov(ecx, __dword_ptr[r14 + SignalFrame.Rdi]);
        c.cmp(ecx, SystemCall.ClockNumberLast);
        c.ja(L("lazy_switch"));
        c.mov(edx, SystemCall.InPlaceClocks);
        c.bt(edx, ecx);
        c.jae(L("lazy_switch"));
        c.jmp(L("in_place"));
        Here("no_clock");
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
        EmitPause("in_place_paused");
        c.lea(rcx, __[rsp - 256]);
        c.and(rcx, -16);
        c.mov(rax, __[r14 + Rip]);
        c.mov(__[rcx], rax);
        c.mov(rax, __[r14 + Rsp]);
        c.mov(__[rcx + 8], rax);
        c.mov(__[r14 + Rsp], rcx);
        Here("in_place_moved");
        c.lea(rax, __[L("in_place_stub")]);
        c.mov(__[r14 + Rip], rax);
        Here("in_place_set");
        c.jmp(L("signal_return"));

        // Nothing of the receiver was touched yet: as if it had not been claimed.
        Here("call_roll_back");
        c.inc(__qword_ptr[rbp + ReceiverBlock.CallsRolledBackOffset]);
        c.lea(rax, __[L("entry_retry")]);
        c.mov(__[r14 + Rip], rax);                               // before the block says so: who finds a dead thread here believes the block
        EmitBackToSender();
        KillPoint("rolled_back", hasReceiver: true);
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
        c.lea(rax, __[L("exit_end")]);
        c.mov(__[r14 + Rip], rax);
        EmitBackToSender();
        KillPoint("rolled_forward", hasReceiver: true);
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
        KillPoint("lazy_begin", hasReceiver: true);
        c.inc(__qword_ptr[rbp + ReceiverBlock.LazyOffset]);
        EmitResumeClock("lazy_resumed");                         // this kernel thread may have slept here
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
        KillPoint("lazy_copied", hasReceiver: true);
        c.mov(__[rbp + ReceiverBlock.FrameOffset], r10);         // from here the context survives this thread
        KillPoint("lazy_framed", hasReceiver: true);

        EmitIsSynchronous("lazy_synchronous");
        c.inc(__qword_ptr[rbp + ReceiverBlock.LazySignalsOffset]);
        EmitRequeue();
        c.jmp(L("lazy_no_requeue"));
        Here("lazy_synchronous");
        c.cmp(r12d, SystemCall.SigSys);
        c.je(L("lazy_no_requeue"));
        c.inc(__qword_ptr[rbp + ReceiverBlock.LazyFaultsOffset]);
        Here("lazy_no_requeue");

        EmitBackToSender();                                      // r8 = sender
        KillPoint("lazy_peeled", hasReceiver: true);
        EmitBookedAtSwitch();
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
        KillPoint("lazy_pending", hasReceiver: true);
        c.mov(rax, __[rbp + ReceiverBlock.HomeOffset]);
        c.mov(rax, __[rax + ThreadBlock.MemberOffset]);
        c.cmp(__dword_ptr[rax + MemberBlock.StateOffset], (int)MemberState.Running);
        c.jne(L("lazy_gone"));

        c.mov(__dword_ptr[rbp + ReceiverBlock.StateOffset], (int)ReceiverState.Own);
        KillPoint("lazy_own", hasReceiver: true);
        c.mov(eax, (int)ReceiverBlock.WakeNow);                  // from here the receiver's kernel thread may run on its stack
        c.xchg(__[rbp + ReceiverBlock.WakeOffset], eax);
        c.cmp(eax, (int)ReceiverBlock.WakeAsleep);
        c.jne(L("lazy_wait"));
        KillPoint("lazy_woken", hasReceiver: true);
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

    private void EmitInPlaceStub()
    {
        Here("in_place_stub");                                   // rcx and r11 are the system call's to change, so the way back may use rcx
        c.syscall();
        EmitInPlaceResume();
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
}
