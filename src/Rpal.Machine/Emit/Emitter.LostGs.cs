using Rpal.Linux;
using Rpal.Machine.Blocks;
using static Iced.Intel.AssemblerRegisters;

namespace Rpal.Machine.Emit;

/// <summary>What happens when GS does not say whose a kernel thread is: a library has set it (arch_prctl, wrgsbase), in a thread that Rpal uses.</summary>
/// <remarks><code>
/// a handler returned   the thread is its receiver's own            ► that process ends
///                      one of those that wait for it owns the thread, whose block says so
///                                                                  ► GS is put back, the call is answered, the receiver's process ends
///                      else: it stands where it was not lent       ► its process ends: a fault of Rpal
/// a signal             its process has a block of this thread that says foreign
///                                                                  ► GS is put back, the receiver's process ends, the signal goes on as if foreign
///                      else: at home                               ► the program's handler
/// </code>
/// Whose library took GS, that one's process ends: it counts on a GS that Rpal needs, now and in the next call. Whoever called it loses nothing.
/// The host says why.</remarks>
internal sealed partial class Emitter
{
    /// <summary>At the end of a handler. In: rbx = receiver, on its stack. GS names another thread, or nothing.</summary>
    private void EmitGsLost()
    {
        Here("gs_lost");
        c.mov(eax, SystemCall.GetTid);
        c.syscall();
        c.mov(edx, eax);
        c.mov(rax, __[rbx + ReceiverBlock.HomeOffset]);
        c.cmp(edx, __dword_ptr[rax + ThreadBlock.TidOffset]);
        c.je(L("strayed"));
        c.mov(esi, FamilyLayout.ReceiverCapacity);               // a chain has no more
        c.mov(rdi, rbx);
        Here("gs_lost_next");
        c.mov(rdi, __[rdi + ReceiverBlock.SenderOffset]);
        EmitIsBlock(rdi, "strayed");
        c.cmp(edx, __dword_ptr[rdi + ThreadBlock.TidOffset]);
        c.je(L("gs_lost_found"));
        c.mov(rdi, __[rdi + ThreadBlock.OwnReceiverOffset]);
        EmitIsBlock(rdi, "strayed");
        c.dec(esi);
        c.jne(L("gs_lost_next"));
        c.jmp(L("strayed"));
        Here("gs_lost_found");
        c.cmp(rbx, __[rdi + ThreadBlock.CurrentOffset]);
        c.jne(L("strayed"));
        c.wrgsbase(rdi);
        c.call(L("end_taker"));
        c.jmp(L("exit_check"));

        // This thread's block says that it executes no context, and it stands in one. It would park here for ever, unknown to
        // everybody, and take the receiver's next frame. Its process ends instead; the host says why. GS says nothing here.
        Here("strayed");
        c.mov(ebx, -1);
        c.rdgsbase(rdx);
        EmitIsBlock(rdx, "strayed_without_block");
        c.mov(ebx, 1);
        Here("strayed_without_block");
        c.mov(eax, SystemCall.GetPid);
        c.syscall();
        c.imul(eax, ebx);
        LoadHeader(rcx);
        c.mov(__dword_ptr[rcx + FamilyHeader.StrayedPidOffset], eax);
        EmitEndProcess();

        // rbx = receiver: its process ends, while it runs. Thread and process are named together: one of them may be a stranger's by now.
        // Changes rax, rcx, rdx, rdi, rsi, r11.
        Here("end_taker");
        c.mov(rax, __[rbx + ReceiverBlock.HomeOffset]);
        c.mov(rcx, __[rax + ThreadBlock.MemberOffset]);
        c.cmp(__dword_ptr[rcx + MemberBlock.StateOffset], (int)MemberState.Running);
        c.jne(L("end_taker_done"));
        c.mov(edi, __dword_ptr[rax + ThreadBlock.PidOffset]);
        c.mov(esi, __dword_ptr[rax + ThreadBlock.TidOffset]);
        c.mov(edx, edi);
        c.neg(edx);
        LoadHeader(rcx);
        c.mov(__dword_ptr[rcx + FamilyHeader.StrayedPidOffset], edx);
        c.mov(edx, SystemCall.SigKill);
        c.mov(eax, SystemCall.Tgkill);
        c.syscall();
        Here("end_taker_done");
        c.ret();
    }

    /// <summary>In a trampoline, rbx = a GS that is no block. On to <c>look_again</c> with the thread's block in rbx, or to <c>chain</c>.</summary>
    private void EmitGsTaken()
    {
        EmitIsDispatch("gs_taken");                              // raised in foreign contexts only
        c.test(rbx, rbx);
        c.je(L("chain"));                                        // a thread that was never armed
        Here("gs_taken");
        c.mov(eax, SystemCall.GetTid);
        c.syscall();
        c.mov(edx, eax);
        c.mov(rbx, r15);
        c.add(rbx, (int)FamilyLayout.ThreadBlocksOffset);
        c.mov(ecx, FamilyLayout.ThreadCapacity);
        Here("gs_taken_next");
        c.mov(eax, __dword_ptr[rbx + ThreadBlock.TidOffset]);
        c.test(eax, eax);
        c.je(L("gs_taken_at_home"));                             // blocks are handed out from the first on
        c.cmp(eax, edx);
        c.je(L("gs_taken_found"));
        Here("gs_taken_other");
        c.add(rbx, ThreadBlock.SizeBytes);
        c.dec(ecx);
        c.jne(L("gs_taken_next"));
        Here("gs_taken_at_home");
        EmitIsDispatch("strayed");                               // a system call that would be lost
        c.jmp(L("chain"));

        // Comes back: a TID, and with it the block of a thread that has ended. That one's says home.
        Here("gs_taken_found");
        c.mov(rbp, __[rbx + ThreadBlock.CurrentOffset]);
        c.test(rbp, rbp);
        c.je(L("gs_taken_other"));
        c.wrgsbase(rbx);
        c.xchg(rbx, rbp);
        c.call(L("end_taker"));
        c.xchg(rbx, rbp);
        c.jmp(L("look_again"));
    }

    /// <summary>Jumps when Syscall User Dispatch has raised the signal.</summary>
    private void EmitIsDispatch(string target)
    {
        string other = target + ".other_signal";
        c.cmp(r12d, SystemCall.SigSys);
        c.jne(L(other));
        c.cmp(__dword_ptr[r13 + SigInfoCode], SystemCall.SysUserDispatch);
        c.je(L(target));
        Here(other);
    }
}
