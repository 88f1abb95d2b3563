using Rpal.Linux;
using Rpal.Machine.Blocks;
using static Iced.Intel.AssemblerRegisters;

namespace Rpal.Machine.Emit;

internal sealed partial class Emitter
{
    /// <summary>How long a parked receiver with a deferred signal sleeps before it looks again whether its context came home.</summary>
    private const int DeferredPollNs = 1_000_000;

    /// <summary>
    /// A receiver's life at home. In: rdi = receiver. Returns only when stopped.
    /// </summary>
    /// <remarks>
    /// The kernel thread parks on a stack of its own, because its real stack belongs to whoever claims the receiver. From the
    /// Ready store until it is woken, nothing here may use FS: the same thread-local storage is in use elsewhere.
    /// <code>
    /// wait ──► park ◄───────────── answer_home ◄── handler returned at home
    ///           │ woken: frame ──► rt_sigreturn into the lazily switched context
    ///           └ woken: no frame ──► leave
    /// </code></remarks>
    private void EmitWait()
    {
        Begin(Routine.Wait, "wait");
        PushCalleeSaved();
        c.sub(rsp, 8);                                           // handlers are called on an aligned stack
        c.mov(rbx, rdi);
        c.mov(__[rbx + ReceiverBlock.RspOffset], rsp);
        c.rdfsbase(rax);
        c.mov(__[rbx + ReceiverBlock.FsOffset], rax);
        EmitEnterParking();
        KillPoint("park_first");
        c.mov(__dword_ptr[rbx + ReceiverBlock.StateOffset], (int)ReceiverState.Ready);     // SYNC receiver-ready: pairs with the claim
        c.jmp(L("park_wake_waiters"));

        // The handler returned on its own kernel thread: answer through the sender's reply word. Comes back: a block behind GS can be
        // another's, and then the context is not this thread's. The parking stack is the home thread's alone.
        Here("answer_home");
        c.mov(rax, Gs(ThreadBlock.SelfOffset));
        c.cmp(rax, __[rbx + ReceiverBlock.HomeOffset]);
        c.jne(L("gs_lost"));
        EmitEnterParking();
        KillPoint("home_answer");
        c.mov(r12, __[rbx + ReceiverBlock.PendingOffset]);
        c.mov(r13d, __dword_ptr[rbx + ReceiverBlock.PendingSequenceOffset]);
        c.mov(__dword_ptr[rbx + ReceiverBlock.AnsweringSequenceOffset], r13d);
        c.mov(__[rbx + ReceiverBlock.AnsweringOffset], r12);
        c.mov(__qword_ptr[rbx + ReceiverBlock.PendingOffset], 0);
        KillPoint("home_answering");
        c.mov(__dword_ptr[rbx + ReceiverBlock.StateOffset], (int)ReceiverState.Ready);
        KillPoint("home_ready");
        c.test(r12, r12);
        c.je(L("answer_given"));
        Here("answer_reply");                                    // SYNC reply: pairs with wait_reply
        c.mov(eax, __dword_ptr[r12 + ThreadBlock.ReplyOffset]);
        c.mov(ecx, eax);
        c.and(ecx, ~3);
        c.cmp(ecx, r13d);
        c.jne(L("answer_given"));
        c.stmxcsr(__dword_ptr[r12 + ThreadBlock.MxcsrOffset]);   // by the ABI the handler left the caller's
        c.fnstcw(__word_ptr[r12 + ThreadBlock.X87ControlOffset]);
        c.mov(edx, eax);
        c.and(edx, 3);
        c.lea(ecx, __[r13 + (int)CallResult.Answered]);
        c.@lock.cmpxchg(__dword_ptr[r12 + ThreadBlock.ReplyOffset], ecx);
        c.jne(L("answer_reply"));
        c.cmp(edx, (int)CallResult.Asleep);
        c.jne(L("answer_given"));
        c.lea(rdi, __[r12 + ThreadBlock.ReplyOffset]);
        FutexWake(1);
        Here("answer_given");
        KillPoint("home_answered");
        c.mov(__qword_ptr[rbx + ReceiverBlock.AnsweringOffset], 0);

        Here("park_wake_waiters");
        c.mov(rcx, __[rbx + ReceiverBlock.ServiceOffset]);
        c.mfence();                                              // SYNC receiver-waiters: Ready before the look at them; pairs with CallWait
        c.cmp(__dword_ptr[rcx + ServiceEntry.WaitersOffset], 0);
        c.je(L("park"));
        EmitWakeWaiters();

        Here("park");
        SpinWhileZero(rbx, ReceiverBlock.WakeOffset, ReceiverBlock.SpinBudgetOffset, ReceiverBlock.PeerCpuOffset, "park_woken");
        Here("park_sleep");
        c.xor(eax, eax);
        c.mov(edx, (int)ReceiverBlock.WakeAsleep);
        c.@lock.cmpxchg(__dword_ptr[rbx + ReceiverBlock.WakeOffset], edx);
        c.cmp(eax, (int)ReceiverBlock.WakeNow);
        c.je(L("park_adapt"));
        c.lea(rdi, __[rbx + ReceiverBlock.WakeOffset]);
        c.xor(r10d, r10d);
        c.cmp(__dword_ptr[rbx + ReceiverBlock.DeferredOffset], 0);
        c.je(L("park_futex"));
        c.mov(__qword_ptr[rsp], 0);
        c.mov(__qword_ptr[rsp + 8], DeferredPollNs);
        c.mov(r10, rsp);
        Here("park_futex");
        FutexWait();
        Here("park_slept");
        c.cmp(__dword_ptr[rbx + ReceiverBlock.WakeOffset], (int)ReceiverBlock.WakeNow);
        c.je(L("park_adapt"));
        c.cmp(__dword_ptr[rbx + ReceiverBlock.DeferredOffset], 0);
        c.je(L("park_sleep"));

        // A signal came while the context was elsewhere. If it is back, take the receiver, open the mask, let it be delivered.
        c.mov(eax, (int)ReceiverState.Ready);
        c.mov(ecx, (int)ReceiverState.Own);
        c.@lock.cmpxchg(__dword_ptr[rbx + ReceiverBlock.StateOffset], ecx);
        c.jne(L("park_not_home"));
        c.mov(__dword_ptr[rbx + ReceiverBlock.DeferredOffset], 0);
        c.mov(__dword_ptr[rbx + ReceiverBlock.WakeOffset], (int)ReceiverBlock.WakeIdle);     // Asleep from here on would look like woken
        c.lea(rsi, __[rbx + ReceiverBlock.MaskOffset]);
        EmitSetMask();
        c.mov(__dword_ptr[rbx + ReceiverBlock.StateOffset], (int)ReceiverState.Ready);
        c.jmp(L("park_wake_waiters"));

        // Still, or again, executed elsewhere: the first eviction may have met a call that was rolled back and made again. Tried
        // at every power of two of looks, because real-time signals queue and that kernel thread may be stopped.
        Here("park_not_home");
        c.cmp(al, (int)ReceiverState.Foreign);
        c.jne(L("park_sleep"));
        c.mov(eax, __dword_ptr[rbx + ReceiverBlock.DeferredOffset]);
        c.lea(ecx, __[rax + 1]);
        c.mov(__dword_ptr[rbx + ReceiverBlock.DeferredOffset], ecx);
        c.test(eax, ecx);
        c.jne(L("park_sleep"));
        c.mov(rdx, rbx);
        c.call(L("evict"));
        c.jmp(L("park_sleep"));

        Here("park_adapt");
        AdaptBudget(rbx, ReceiverBlock.SpinBudgetOffset, "park_woken");
        Here("park_woken");
        KillPoint("park_taken");
        c.xor(eax, eax);                                         // an exchange: a plain store could come after the frame is looked at, over the next wake
        c.xchg(__[rbx + ReceiverBlock.WakeOffset], eax);
        c.mov(r12, __[rbx + ReceiverBlock.FrameOffset]);
        c.test(r12, r12);
        c.jne(L("park_leave"));
        c.cmp(__byte_ptr[rbx + ReceiverBlock.StateOffset], (int)ReceiverState.Stopped);
        c.jne(L("park_sleep"));                                  // a wake for an earlier life of this block, or one too many: nothing to do
        Here("park_leave");
        c.mov(__qword_ptr[rbx + ReceiverBlock.FrameOffset], 0);
        c.mov(__dword_ptr[rbx + ReceiverBlock.DeferredOffset], 0);
        c.mov(Gs(ThreadBlock.ParkedOffset), 0);
        c.test(r12, r12);
        c.je(L("leave_wait"));
        c.mov(rax, __[rbx + ReceiverBlock.MaskOffset]);          // rt_sigreturn also restores mask and alternate stack: this thread's
        c.mov(__[r12 + SignalFrame.UcSigmask], rax);
        c.xor(edi, edi);
        c.lea(rsi, __[r12 + SignalFrame.UcStack]);
        c.mov(eax, SystemCall.Sigaltstack);
        c.syscall();
        c.mov(rsp, r12);
        c.mov(eax, SystemCall.RtSigreturn);
        c.syscall();
        c.ud2();

        EmitGsLost();

        Here("leave_wait");
        c.lea(rsi, __[rbx + ReceiverBlock.MaskOffset]);          // closed when a signal was deferred
        EmitSetMask();
        c.mov(rsp, __[rbx + ReceiverBlock.RspOffset]);
        c.add(rsp, 8);
        PopCalleeSaved();
        c.ret();
    }

    /// <summary>rbx = receiver: onto its parking stack, remembered as parked, its mask noted. Changes rax, rcx, rdx, rsi, rdi, r10, r11.</summary>
    private void EmitEnterParking()
    {
        c.mov(rsp, __[rbx + ReceiverBlock.ParkTopOffset]);
        c.mov(Gs(ThreadBlock.ParkedOffset), rbx);
        ReadTscAndCpu();
        c.mov(__dword_ptr[rbx + ReceiverBlock.HomeCpuOffset], ecx);
        c.xor(edi, edi);
        c.xor(esi, esi);
        c.lea(rdx, __[rbx + ReceiverBlock.MaskOffset]);
        c.mov(r10d, SystemCall.SignalSetBytes);
        c.mov(eax, SystemCall.RtSigprocmask);
        c.syscall();
    }

    /// <summary>rt_sigprocmask(SIG_SETMASK, rsi). Changes rax, rcx, rdx, rdi, r10, r11.</summary>
    private void EmitSetMask()
    {
        c.mov(edi, SystemCall.SetMask);
        c.xor(edx, edx);
        c.mov(r10d, SystemCall.SignalSetBytes);
        c.mov(eax, SystemCall.RtSigprocmask);
        c.syscall();
    }

    /// <summary>
    /// A sender whose call was lazily switched waits for the reply. In: rbx = its thread block, on its own stack below the
    /// saved registers. It may itself be moved to another kernel thread while it waits: it uses GS for nothing but the pause, which
    /// a move ends.
    /// </summary>
    private void EmitWaitReply()
    {
        Point("wait_reply");
        SpinWhileZero(rbx, ThreadBlock.ReplyOffset, ThreadBlock.SpinBudgetOffset, ThreadBlock.PeerCpuOffset, "reply_taken");
        Here("reply_sleep");                                     // SYNC reply: pairs with answer_reply and the host's report of a death; a context whose kernel thread died goes on here
        c.mov(eax, __dword_ptr[rbx + ThreadBlock.ReplyOffset]);
        c.mov(edx, eax);
        c.or(edx, (int)CallResult.Asleep);
        c.test(al, 3);
        c.je(L("reply_announce"));
        c.cmp(edx, eax);
        c.jne(L("reply_adapt"));
        c.jmp(L("reply_futex"));
        Here("reply_announce");
        c.@lock.cmpxchg(__dword_ptr[rbx + ThreadBlock.ReplyOffset], edx);
        c.jne(L("reply_sleep"));
        Here("reply_futex");
        c.mov(r9d, edx);
        EmitPause("reply_paused");
        c.mov(edx, r9d);
        c.lea(rdi, __[rbx + ThreadBlock.ReplyOffset]);
        c.xor(r10d, r10d);
        FutexWait();
        c.call(L("resume_clock"));
        c.jmp(L("reply_sleep"));

        Here("reply_adapt");
        AdaptBudget(rbx, ThreadBlock.SpinBudgetOffset, "reply_taken");
        Here("reply_taken");
        c.mov(eax, __dword_ptr[rbx + ThreadBlock.ReplyOffset]);
        c.and(eax, 3);
        c.and(__dword_ptr[rbx + ThreadBlock.ReplyOffset], ~3);
        c.ldmxcsr(__dword_ptr[rbx + ThreadBlock.MxcsrOffset]);
        c.fldcw(__word_ptr[rbx + ThreadBlock.X87ControlOffset]);
        c.mov(rsp, __[rbx + ThreadBlock.RspOffset]);
        PopCalleeSaved();
        c.ret();
    }
}
