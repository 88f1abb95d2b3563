using Rpal.Linux;
using Rpal.Machine.Blocks;
using static Iced.Intel.AssemblerRegisters;

namespace Rpal.Machine.Emit;

internal sealed partial class Emitter
{
    /// <summary>
    /// Clones a member's task. In: rdi = <see cref="SpawnBlock"/>. Out: eax = pid or -errno. The task does the block's steps, in
    /// raw system calls because it still has the host's FS, and jumps to the program.
    /// </summary>
    private void EmitSpawn()
    {
        Begin(Routine.Spawn, "spawn");
        c.push(rbx);
        c.push(r12);
        c.mov(rbx, rdi);
        c.push(-1);
        c.mov(rsi, rsp);                                         // no handler of the host may run in the task: block all around clone
        c.lea(rdx, __[rbx + SpawnBlock.MaskOffset]);
        c.mov(edi, SystemCall.SetMask);
        c.mov(r10d, SystemCall.SignalSetBytes);
        c.mov(eax, SystemCall.RtSigprocmask);
        c.syscall();
        c.mov(edi, SystemCall.CloneVm | SystemCall.CloneFiles | SystemCall.SigChld);
        c.mov(rsi, __[rbx + SpawnBlock.StackOffset]);
        c.xor(edx, edx);
        c.xor(r10d, r10d);
        c.xor(r8d, r8d);
        c.mov(eax, SystemCall.Clone);
        c.syscall();
        c.test(rax, rax);
        c.je(L("spawn_task"));
        c.mov(r12, rax);
        c.lea(rsi, __[rbx + SpawnBlock.MaskOffset]);
        EmitSetMask();
        c.mov(rax, r12);
        c.add(rsp, 8);
        c.pop(r12);
        c.pop(rbx);
        c.ret();

        Here("spawn_task");
        c.mov(r12, __[rbx + SpawnBlock.StepsOffset]);
        c.mov(r13, __[rbx + SpawnBlock.StepCountOffset]);
        c.call(L("run_steps"));
        c.test(r13, r13);
        c.je(L("spawn_jump"));
        c.sub(r12, __[rbx + SpawnBlock.StepsOffset]);
        c.shr(r12, (byte)System.Numerics.BitOperations.Log2(SystemCallStep.SizeBytes));
        c.mov(__dword_ptr[rbx + SpawnBlock.FailedStepOffset], r12d);
        c.mov(__dword_ptr[rbx + SpawnBlock.WordOffset], (int)SpawnBlock.Failed);
        c.lea(rdi, __[rbx + SpawnBlock.WordOffset]);
        FutexWake(1);
        c.mov(edi, 127);
        c.mov(eax, SystemCall.ExitGroup);
        c.syscall();

        Here("spawn_jump");
        c.mov(r12, __[rbx + SpawnBlock.EntryOffset]);            // the host frees the block once it sees Started
        c.mov(r13, __[rbx + SpawnBlock.InitialRspOffset]);
        c.mov(rsp, r13);
        c.mov(__dword_ptr[rbx + SpawnBlock.WordOffset], (int)SpawnBlock.Started);
        c.lea(rdi, __[rbx + SpawnBlock.WordOffset]);
        FutexWake(1);
        c.xor(eax, eax);
        c.wrfsbase(rax);
        c.wrgsbase(rax);
        c.mov(rcx, r12);
        c.xor(ebx, ebx);
        c.xor(ebp, ebp);
        c.xor(edx, edx);
        c.xor(esi, esi);
        c.xor(edi, edi);
        c.xor(r12d, r12d);
        c.xor(r13d, r13d);
        c.jmp(rcx);
    }

    /// <summary>
    /// Makes system calls from a list. In: r12 = <see cref="SystemCallStep"/>[], r13 = how many. Out: r13 = how many were left
    /// when a required one failed, r12 = that one; else r13 = 0. Changes rax, rcx, rdx, rsi, rdi, r8, r10, r11.
    /// </summary>
    private void EmitRunSteps()
    {
        Here("run_steps");
        c.test(r13, r13);
        c.je(L("run_steps_done"));
        c.mov(rdi, __[r12 + SystemCallStep.ArgumentsOffset]);
        c.mov(rsi, __[r12 + SystemCallStep.ArgumentsOffset + 8]);
        c.mov(rdx, __[r12 + SystemCallStep.ArgumentsOffset + 16]);
        c.mov(r10, __[r12 + SystemCallStep.ArgumentsOffset + 24]);
        c.mov(r8, __[r12 + SystemCallStep.ArgumentsOffset + 32]);
        c.mov(rax, __[r12 + SystemCallStep.NumberOffset]);
        c.syscall();
        c.mov(__[r12 + SystemCallStep.ResultOffset], rax);
        c.test(rax, rax);
        c.jns(L("run_steps_next"));
        c.cmp(__qword_ptr[r12 + SystemCallStep.RequiredOffset], 0);
        c.jne(L("run_steps_done"));
        Here("run_steps_next");
        c.add(r12, SystemCallStep.SizeBytes);
        c.dec(r13);
        c.jmp(L("run_steps"));
        Here("run_steps_done");
        c.ret();
    }

    /// <summary>Arms the calling kernel thread. In: rdi = its thread block with tid, pid and member set. Out: eax = 0 or -errno.</summary>
    private void EmitArm()
    {
        Begin(Routine.Arm, "arm");
        c.rdgsbase(r8);
        c.test(r8, r8);
        c.je(L("arm_free"));
        EmitIsBlock(r8, "arm_taken");                            // one that clone handed on is Rpal's to replace, a library's is not
        Here("arm_free");
        c.mov(__[rdi + ThreadBlock.SelfOffset], rdi);
        c.rdfsbase(rax);
        c.mov(__[rdi + ThreadBlock.FsOffset], rax);
        c.mov(r9, rdi);
        c.lea(r8, __[r9 + ThreadBlock.SelectorOffset]);
        c.mov(edi, SystemCall.PrSetSyscallUserDispatch);
        c.mov(esi, SystemCall.DispatchOn);
        c.mov(rdx, FamilyLayout.CodeBase);
        c.mov(r10d, (int)FamilyLayout.CodeBytes);
        c.mov(eax, SystemCall.Prctl);
        c.syscall();
        c.test(eax, eax);
        c.jne(L("arm_failed"));
        c.wrgsbase(r9);
        Here("arm_failed");
        c.ret();
        Here("arm_taken");
        c.mov(eax, -(int)Errno.EBUSY);
        c.ret();

        Begin(Routine.Tsc, "tsc");
        ReadTsc();
        c.ret();
    }

    /// <summary>A thread of the member that does system calls for the host: signal actions belong to the process. In: rdi = member. Never returns.</summary>
    private void EmitAgent()
    {
        Begin(Routine.Agent, "agent");
        c.push(rbx);
        c.mov(rbx, rdi);
        // A handler on this thread could ask the host, which waits for it. Only libc's own signals must come.
        c.lea(rsi, __[rbx + MemberBlock.AgentMaskOffset]);
        EmitSetMask();
        c.mov(__dword_ptr[rbx + MemberBlock.AgentReadyOffset], 1);
        c.lea(rdi, __[rbx + MemberBlock.AgentReadyOffset]);
        FutexWake(1);
        Here("agent_look");
        c.mov(edx, __dword_ptr[rbx + MemberBlock.AgentWordOffset]);
        c.cmp(edx, (int)MemberBlock.AgentAsked);
        c.je(L("agent_call"));
        c.lea(rdi, __[rbx + MemberBlock.AgentWordOffset]);
        c.xor(r10d, r10d);
        FutexWait();
        c.jmp(L("agent_look"));
        Here("agent_call");
        c.mov(r12, __[rbx + MemberBlock.AgentStepsOffset]);
        c.mov(r13, __[rbx + MemberBlock.AgentStepCountOffset]);
        c.call(L("run_steps"));
        c.mov(__dword_ptr[rbx + MemberBlock.AgentWordOffset], (int)MemberBlock.AgentDone);
        c.lea(rdi, __[rbx + MemberBlock.AgentWordOffset]);
        FutexWake(1);
        c.jmp(L("agent_look"));
    }
}
