using Iced.Intel;
using Rpal.Linux;
using Rpal.Machine.Blocks;
using static Iced.Intel.AssemblerRegisters;

namespace Rpal.Machine.Emit;

internal sealed partial class Emitter
{
    private const int SigInfoCode = SignalFrame.SiCode, SigInfoSyscall = SignalFrame.SiSyscall;
    /// <summary>Member and point of a <see cref="FamilyHeader.KillWord"/>.</summary>
    private const int KillWordPlace = (1 << FamilyHeader.KillWordVictimShift) - 1;

    private const int Rip = SignalFrame.Rip, Rsp = SignalFrame.Rsp, Rax = SignalFrame.Rax, Rsi = SignalFrame.Rsi;
    private const int SaNodefer = 0x40000000;

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
    /// a fault of the copy, in any context ────────► its recovery point
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
        EmitRecoveryPoint();
        c.sub(rsp, 24);
        c.mov(r12d, edi);
        c.mov(r13, rsi);
        c.mov(r14, rdx);
        Here("on_signal_known");
        c.shl(rcx, (byte)System.Numerics.BitOperations.TrailingZeroCount(FamilyLayout.MemberAreaBytes));
        c.mov(r15, FamilyLayout.MemberAreaBase);
        c.add(r15, rcx);
        c.rdgsbase(rbx);
        EmitIsBlock(rbx, "no_block");
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

        // GS is nobody's, or a library's.
        Here("no_block");
        EmitGsTaken();

        // Comes back: GS is inherited by clone, so a thread that an armed thread created carries its creator's block. A block with
        // either word set has its own thread inside or parked: no other can have that TID.
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

    /// <summary>Jumps when a pointer does not point into a member area: GS is anybody's to set. Changes rax, rcx.</summary>
    private void EmitIsBlock(AssemblerRegister64 block, string otherwise)
    {
        c.mov(rax, block);
        c.mov(rcx, FamilyLayout.MemberAreaBase);
        c.sub(rax, rcx);
        c.mov(rcx, FamilyLayout.MemberAreaBytes * FamilyLayout.MemberCapacity);
        c.cmp(rax, rcx);
        c.jae(L(otherwise));
    }

    private void EmitIsThisThread(string otherwise)
    {
        c.mov(eax, SystemCall.GetTid);
        c.syscall();
        c.cmp(eax, __dword_ptr[rbx + ThreadBlock.TidOffset]);
        c.jne(L(otherwise));
    }

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

        // The default action. The host first brings home whoever runs foreign on this process's threads; then the kernel gets it
        // back: a fault repeats, anything else is sent again. In a forked child the host call does nothing.
        Here("chain_default");
        c.lea(ecx, __[r12 - 1]);
        c.mov(rax, SystemCall.EndsProcess);
        c.bt(rax, rcx);
        c.jae(L("chain_default_action"));
        c.mov(edi, (int)HostCall.Dying);
        c.mov(esi, r12d);
        c.xor(edx, edx);
        c.mov(r10d, SystemCall.SignalSetBytes);
        c.mov(eax, SystemCall.RtSigaction);
        c.syscall();
        Here("chain_default_action");
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
        c.mov(ebx, eax);
        c.mov(eax, SystemCall.GetPid);
        c.syscall();
        c.mov(edi, eax);
        c.mov(esi, ebx);
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
        c.mov(rax, __[rbx + ThreadBlock.MemberOffset]);
        EmitKillWord(eax, rax, ecx);
        LoadHeader(rdx);
        c.mov(edx, __dword_ptr[rdx + FamilyHeader.KillWordOffset]);
        c.mov(esi, edx);
        c.and(esi, KillWordPlace);
        c.cmp(esi, eax);
        c.jne(L("injection_is_signal"));
        c.shr(edx, FamilyHeader.KillWordVictimShift);
        c.jne(L("injection_kills_peer"));
        EmitKill();
        Here("injection_kills_peer");
        c.mov(rsi, __[r14 + Rsi]);                               // up to the handler the receiver is there, behind it in rbx
        c.cmp(ecx, _points.IndexOf("handler_left"));
        c.cmovae(rsi, __[r14 + SignalFrame.Rbx]);
        c.cmp(ecx, _points.IndexOf("nested_ready"));
        c.ja(L("injection_is_signal"));
        EmitKillPeer("injection_is_signal");
        c.jmp(L("signal_return"));
        Here("injection_is_signal");
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

    /// <summary>into = the header's word that asks for a kill at a point, by the member whose block is given. point: a number from 0 on, lost.</summary>
    private void EmitKillWord(AssemblerRegister32 into, AssemblerRegister64 member, AssemblerRegister32 point)
    {
        c.mov(into, __dword_ptr[member + MemberBlock.IndexOffset]);
        c.inc(into);
        c.shl(into, FamilyHeader.KillWordMemberShift);
        c.lea(into, __[into + point + 1]);
    }

    /// <summary>
    /// A point where injection builds can kill the process, in the trampolines and at home: the context that dies there is not continued,
    /// so it may push. Not in the ranges that the trampolines know by their stack pointer. Numbered from <see cref="FamilyHeader.PointCapacity"/> on.
    /// </summary>
    /// <param name="name">Its name.</param>
    /// <param name="hasReceiver">Whether rbp is the receiver whose context is in hand.</param>
    private void KillPoint(string name, bool hasReceiver = false)
    {
        if (_inject)
        {
            AssemblerRegister64[] kept = [rax, rcx, rdx, rsi, rdi, r11];
            c.pushfq();
            Array.ForEach(kept, c.push);
            c.mov(rax, Gs(ThreadBlock.MemberOffset));
            c.mov(ecx, FamilyHeader.PointCapacity + _killPoints.Count);
            EmitKillWord(eax, rax, ecx);
            c.mov(rcx, FamilyLayout.FamilyBase);
            c.mov(edx, __dword_ptr[rcx + FamilyHeader.KillWordOffset]);
            c.mov(ecx, edx);
            c.and(ecx, KillWordPlace);
            c.cmp(ecx, eax);
            c.jne(L(name + ".on"));
            c.shr(edx, FamilyHeader.KillWordVictimShift);
            c.jne(L(hasReceiver ? name + ".peer" : name + ".on"));
            EmitKill();
            if (hasReceiver)
            {
                Here(name + ".peer");
                c.mov(rsi, rbp);
                EmitKillPeer(name + ".on");
            }

            Here(name + ".on");
            Array.ForEach([.. kept.Reverse()], c.pop);
            c.popfq();
        }

        _killPoints.Add(name);
    }

    /// <summary>rsi: a receiver, or 0. edx: a victim + 1. Kills the receiver's process if that is the victim, and goes on. Keeps rbx, rbp and r8 to r15 but r11.</summary>
    /// <remarks>A claim that failed may have been of a receiver whose member is gone: its area reads as zeros from some instant
    /// on, so each word is looked at before it is followed. A fault here would be the caller's, and silent: all signals are blocked.</remarks>
    private void EmitKillPeer(string other)
    {
        c.test(rsi, rsi);
        c.je(L(other));
        c.mov(rax, __[rsi + ReceiverBlock.HomeOffset]);
        c.test(rax, rax);
        c.je(L(other));
        c.mov(edi, __dword_ptr[rax + ThreadBlock.PidOffset]);
        c.test(edi, edi);
        c.je(L(other));
        c.mov(rax, __[rax + ThreadBlock.MemberOffset]);
        c.test(rax, rax);
        c.je(L(other));
        c.dec(edx);
        c.cmp(edx, __dword_ptr[rax + MemberBlock.IndexOffset]);
        c.jne(L(other));
        LoadHeader(rax);
        c.mov(__dword_ptr[rax + FamilyHeader.KillWordOffset], 0);
        c.mov(esi, SystemCall.SigKill);
        c.mov(eax, SystemCall.Kill);
        c.syscall();
    }

    /// <summary>kill(getpid(), SIGKILL), here: who looks at the dead thread sees where. Keeps rbx, rbp and r8 to r15 but r11.</summary>
    private void EmitKill()
    {
        LoadHeader(rax);
        c.mov(__dword_ptr[rax + FamilyHeader.KillWordOffset], 0);
        EmitEndProcess();
    }

    /// <summary>kill(getpid(), SIGKILL): of the process whose kernel thread this is, whatever context it executes.</summary>
    private void EmitEndProcess()
    {
        c.mov(eax, SystemCall.GetPid);
        c.syscall();
        c.mov(edi, eax);
        c.mov(esi, SystemCall.SigKill);
        c.mov(eax, SystemCall.Kill);
        c.syscall();
        c.ud2();
    }
}
