using Iced.Intel;
using Rpal.Machine.Blocks;
using static Iced.Intel.AssemblerRegisters;

namespace Rpal.Machine.Emit;

internal sealed partial class Emitter
{
    /// <summary>
    /// The call and its answer. <c>call</c> in: rdi = the sender's thread block, rsi = receiver, rdx = call frame.
    /// <c>call_any</c> in: rdi = the sender's thread block or 0, rsi = the service's place in its list of receivers used last, rdx = call
    /// frame.
    /// Out: eax = <see cref="CallResult"/>. The handler gets rdi = call frame, rsi = receiver, on the receiver's stack and FS.
    /// </summary>
    /// <remarks><code>
    ///  sender's stack, FS            receiver's stack, FS
    ///  claim
    ///  ── entry range: block says foreign, context does not yet ──
    ///  ─────────────────────────────► handler
    ///  ── exit range: decided to answer, context still the receiver's ──
    ///  ◄─────────────────────────────
    ///  Ready is stored only here, when the receiver's stack is no longer in use
    /// </code>
    /// SYNC receiver-ready: the claim (lock cmpxchg) pairs with the Ready stores here, in <see cref="EmitWait"/> and in the
    /// trampolines' rollback. Lazily switched, the handler returns on its own kernel thread: <c>gs:current</c> differs, and the
    /// answer goes through <c>answer_home</c>.
    /// <para>Rounding and exception masks (MXCSR, x87) are as in any call: the handler runs with the caller's and returns them unchanged.</para>
    /// </remarks>
    private void EmitCall()
    {
        Begin(Routine.CallAny, "call_any");
        // The block is not looked for here: GS is inherited by clone, and an FS comes back with the stack of a thread that ended.
        c.test(rdi, rdi);
        c.je(L("not_armed"));
        c.mov(rsi, __[rdi + rsi * 8 + ThreadBlock.LastReceiverOffset]);
        c.test(rsi, rsi);
        c.je(L("not_met"));

        Begin(Routine.Call, "call");
        c.cmp(rdi, Gs(ThreadBlock.SelfOffset));                  // comes back: GS, which anybody may set; a fault here goes on at not_own
        c.jne(L("call_elsewhere"));
        Here("call_own");
        EmitClaim("claim", "not_ready");                         // before anything is stored: a locked instruction waits for every store
        PushCalleeSaved();
        c.mov(__[rdi + ThreadBlock.RspOffset], rsp);
        Here("entry_claimed");
        c.mov(rax, __[rsi + ReceiverBlock.RegistrationOffset]);
        c.cmp(rax, __[rdx + CallFrame.RegistrationOffset]);
        c.jne(L("wrong_registration"));
        EmitBegan();
        Point("entry_current");
        c.mov(Gs(ThreadBlock.CurrentOffset), rsi);

        Point("entry_selector");                                 // rolled back up to entry_end: nothing of the receiver was touched
        c.mov(__byte_ptr.gs[ThreadBlock.SelectorOffset], 1);
        Point("entry_fs_load");
        c.mov(rax, __[rsi + ReceiverBlock.FsOffset]);
        Point("entry_fs");
        c.wrfsbase(rax);
        Point("entry_rsp");
        c.mov(rsp, __[rsi + ReceiverBlock.RspOffset]);
        Here("entry_end");

        c.mov(rdi, rdx);
        c.mov(rbx, rsi);
        c.mov(__dword_ptr[rsi + ReceiverBlock.InHandlerOffset], 1);
        Point("handler_enter");
        c.call(__qword_ptr[rsi + ReceiverBlock.HandlerOffset]);
        Point("handler_left");
        c.mov(__dword_ptr[rbx + ReceiverBlock.InHandlerOffset], 0);
        c.mov(rbp, __[rbx + ReceiverBlock.ServiceOffset]);       // once it is Ready the receiver is nobody's business here

        EmitEnded();
        Here("exit_check");
        c.cmp(rbx, Gs(ThreadBlock.CurrentOffset));
        Point("exit_branch");                                    // from here the decision may be stale: undone up to exit_done
        c.jne(L("answer_home"));
        Point("exit_sender");
        c.mov(rsi, __[rbx + ReceiverBlock.SenderOffset]);
        Point("exit_nested_compare");
        c.cmp(rsi, Gs(ThreadBlock.SelfOffset));
        Point("exit_nested_branch");
        c.jne(L("nested_fs_load"));
        Point("exit_selector");
        c.mov(__byte_ptr.gs[ThreadBlock.SelectorOffset], 0);
        Point("exit_fs_load");
        c.mov(rax, __[rsi + ThreadBlock.FsOffset]);
        Point("exit_fs");
        c.wrfsbase(rax);
        Point("exit_rsp");
        c.mov(rsp, __[rsi + ThreadBlock.RspOffset]);
        Point("exit_done");                                      // the sender's stack and FS are in place: completed
        c.mov(Gs(ThreadBlock.CurrentOffset), 0);
        Point("exit_ready");
        c.mov(__dword_ptr[rbx + ReceiverBlock.StateOffset], (int)ReceiverState.Ready);
        Here("exit_end");
        EmitBooked();
        c.cmp(__dword_ptr[rbp + ServiceEntry.WaitersOffset], 0);
        c.jne(L("exit_wake_waiters"));
        Here("exit_return");
        PopCalleeSaved();
        c.mov(eax, (int)CallResult.Answered);
        c.ret();

        // The sender is itself a receiver that runs foreign here: the kernel thread stays foreign, one level less.
        Point("nested_fs_load");
        c.mov(rax, __[rsi + ThreadBlock.FsOffset]);
        Point("nested_fs");
        c.wrfsbase(rax);
        Point("nested_receiver");
        c.mov(rax, __[rsi + ThreadBlock.OwnReceiverOffset]);
        Point("nested_rsp");
        c.mov(rsp, __[rsi + ThreadBlock.RspOffset]);
        Point("nested_done");
        c.mov(Gs(ThreadBlock.CurrentOffset), rax);
        Point("nested_ready");
        c.mov(__dword_ptr[rbx + ReceiverBlock.StateOffset], (int)ReceiverState.Ready);
        c.jmp(L("exit_end"));

        // SYNC receiver-waiters: pairs with CallWait in Rpal: it announces itself, runs a membarrier, then looks for a Ready receiver.
        Here("exit_wake_waiters");
        c.mov(rcx, rbp);
        EmitWakeWaiters();
        c.jmp(L("exit_return"));

        // A nested call: the kernel thread is another's, and its block says that it executes the sender's receiver. A lazy switch between
        // the looks brings the context home, so the first look is made again.
        Here("call_elsewhere");
        c.rdgsbase(r8);
        EmitIsBlock(r8, "not_own");                              // before anything is believed that lies there
        c.mov(rcx, Gs(ThreadBlock.CurrentOffset));
        c.test(rcx, rcx);
        c.je(L("call_home"));
        c.cmp(rdi, __[rcx + ReceiverBlock.HomeOffset]);
        c.je(L("call_own"));
        Here("call_home");
        c.cmp(rdi, Gs(ThreadBlock.SelfOffset));
        c.je(L("call_own"));
        Here("not_own");
        c.mov(eax, (int)CallResult.NotOwn);
        c.ret();

        Here("not_met");                                         // this thread's first call of the service
        c.mov(eax, (int)(CallResult.NotReady | (uint)ReceiverState.Init));
        c.ret();
        Here("not_armed");
        c.mov(eax, (int)CallResult.NotArmed);
        c.ret();

        Here("entry_retry");                                     // a call that was rolled back: its registers are saved
        EmitClaim("reclaim", "not_ready_again");
        c.jmp(L("entry_claimed"));
        Here("not_ready_again");
        PopCalleeSaved();
        Here("not_ready");
        c.movzx(eax, al);
        c.or(eax, (int)CallResult.NotReady);
        c.ret();

        Here("wrong_registration");                              // it serves another service by now, or none: SYNC receiver-refused, pairs with Receiver.Refuse in Rpal
        c.mov(rbx, rsi);
        EmitReady(rbx, "wrong_registration_given_back");
        c.mov(eax, (int)(CallResult.NotReady | (uint)ReceiverState.Stopped));
        PopCalleeSaved();
        c.ret();
    }

    /// <summary>rsi = receiver, rdi = sender: Ready becomes Foreign, claimed by the sender, or jumps with the word found in eax. Changes rcx.</summary>
    /// <remarks>The word says whose claim it is from the first instant: a kill comes right behind a locked instruction more often than anywhere else.</remarks>
    private void EmitClaim(string claim, string notReady)
    {
        c.mov(eax, (int)ReceiverState.Ready);
        c.mov(ecx, __dword_ptr[rdi + ThreadBlock.ClaimWordOffset]);
        c.@lock.cmpxchg(__dword_ptr[rsi + ReceiverBlock.StateOffset], ecx);
        Point(claim + "_won");
        c.jne(L(notReady));
        c.mov(__[rsi + ReceiverBlock.SenderOffset], rdi);
        Point(claim + "_owned");
    }

    /// <summary>Off the fast path: the receiver becomes Ready, and senders that wait for one are woken. Changes rax, rcx, rdx, rdi, rsi, r11.</summary>
    private void EmitReady(AssemblerRegister64 receiver, string done)
    {
        c.mov(rcx, __[receiver + ReceiverBlock.ServiceOffset]);  // before: once it is Ready it may be stopped, its block used again
        c.mov(__dword_ptr[receiver + ReceiverBlock.StateOffset], (int)ReceiverState.Ready);     // SYNC receiver-ready: pairs with the claim
        c.mfence();                                              // SYNC receiver-waiters: Ready before the look at them; pairs with CallWait
        c.cmp(__dword_ptr[rcx + ServiceEntry.WaitersOffset], 0);
        c.je(L(done));
        EmitWakeWaiters();
        Here(done);
    }

    /// <summary>rcx = service entry with waiting senders: bumps the sequence that they sleep on. Changes rax, rcx, rdx, rdi, rsi, r11.</summary>
    /// <remarks>Killed between the two stores, it leaves the bump to the host, which makes one for every service after a death.</remarks>
    private void EmitWakeWaiters()
    {
        c.mov(__dword_ptr[rcx + ServiceEntry.WaitersOffset], 0); // those who go on waiting say so again
        c.lea(rdi, __[rcx + ServiceEntry.ReadySequenceOffset]);
        c.@lock.inc(__dword_ptr[rdi]);
        FutexWake(int.MaxValue);
    }

    /// <summary>A bare loop over <c>call</c>, for the floor figure. In: as call, rcx = rounds. Out: eax = rounds not answered.</summary>
    private void EmitFloor()
    {
        Begin(Routine.Floor, "floor");
        PushCalleeSaved();
        c.mov(r12, rdi);
        c.mov(r13, rsi);
        c.mov(r14, rdx);
        c.mov(r15, rcx);
        c.xor(ebx, ebx);
        c.sub(rsp, 8);
        Here("floor_loop");
        c.mov(rdi, r12);
        c.mov(rsi, r13);
        c.mov(rdx, r14);
        c.call(L("call"));
        c.cmp(eax, (int)CallResult.Answered);
        c.setne(al);
        c.movzx(eax, al);
        c.add(ebx, eax);
        c.dec(r15);
        c.jne(L("floor_loop"));
        c.mov(eax, ebx);
        c.add(rsp, 8);
        PopCalleeSaved();
        c.ret();

        Begin(Routine.EmptyHandler, "empty_handler");
        c.ret();
    }
}
