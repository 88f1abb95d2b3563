using Iced.Intel;
using Rpal.Machine.Blocks;
using static Iced.Intel.AssemblerRegisters;

namespace Rpal.Machine.Emit;

internal sealed partial class Emitter
{
    /// <summary>Most receivers on one kernel thread whose clocks a pause holds. Deeper ones are charged for the sleep.</summary>
    private const int PauseDepthLimit = 64;

    // Time accounting, docs/adr/0010. Nothing of it lies in a critical range:
    //
    //   claim ── began = TSC ── [entry range] ── handler ── cycles = TSC - began ── [exit range] ── row += cycles
    //            rolled back: stamped again                  undone: forgotten, because lazy_switch
    //                                                        has booked the call, from began
    //
    // Who books, the sender or lazy_switch, does so exactly once: the sender only behind exit_end, which is reached only by an answer
    // that was never undone. Each stamp is in the receiver's block, so a call ends as it began, whatever the flag says meanwhile.

    /// <summary>rsi = receiver, claimed. Changes rax.</summary>
    private void EmitBegan()
    {
        c.xor(eax, eax);
        CompareHeaderFlag(FamilyHeader.AccountingOffset);
        c.jne(L("entry_stamp"));
        Here("entry_stamped");
        c.mov(__[rsi + ReceiverBlock.BeganOffset], rax);
    }

    /// <summary>rbx = receiver, its handler has returned. Out: r9 = cycles, or 0; with cycles r10 = service, r11 = registration.</summary>
    private void EmitEnded()
    {
        c.inc(__qword_ptr[rbx + ReceiverBlock.CallsOffset]);     // here, and not behind the switch: a call counts once, wherever it ends
        c.mov(r9, __[rbx + ReceiverBlock.BeganOffset]);
        c.test(r9, r9);
        c.jne(L("exit_stamp"));
    }

    /// <summary>rsi = sender, r9 to r11 from <see cref="EmitEnded"/>: the receiver is somebody else's by now.</summary>
    private void EmitBooked()
    {
        c.test(r9, r9);
        c.jne(L("exit_book"));
        Here("exit_booked");
    }

    private void EmitAccount()
    {
        Here("entry_stamp");
        c.mov(r8, rdx);
        ReadTsc();
        c.mov(rdx, r8);
        c.jmp(L("entry_stamped"));

        Here("exit_stamp");
        ReadTsc();
        c.sub(rax, r9);
        c.mov(r9d, 0);
        c.cmovg(r9, rax);                                        // a clock that jumped back books nothing
        c.mov(r10, __[rbx + ReceiverBlock.ServiceOffset]);
        c.mov(r11, __[r10 + ServiceEntry.RegistrationOffset]);   // the receiver's own is 0 while its service lets no call in
        c.jmp(L("exit_check"));

        Here("exit_book");
        EmitBook(rsi, "exit_booked");

        Here("resume_clock");
        EmitResumeClock("resumed");
        c.ret();
    }

    /// <summary>A lazy switch ends what the sender donates. rbp = receiver, r8 = sender. Changes rax, rcx, rdx, r9, r10, r11.</summary>
    private void EmitBookedAtSwitch()
    {
        c.mov(r9, __[rbp + ReceiverBlock.BeganOffset]);
        c.test(r9, r9);
        c.je(L("lazy_booked"));
        c.mov(__qword_ptr[rbp + ReceiverBlock.BeganOffset], 0);
        ReadTsc();
        c.sub(rax, r9);
        c.jle(L("lazy_booked"));
        c.mov(r9, rax);
        c.mov(r10, __[rbp + ReceiverBlock.ServiceOffset]);
        c.mov(r11, __[r10 + ServiceEntry.RegistrationOffset]);
        EmitBook(r8, "lazy_booked");
        Here("lazy_booked");
    }

    /// <summary>Adds r9 cycles and a call to the sender's row for service r10 with registration r11, then jumps. Changes rax, rcx, rdx, r10.</summary>
    private void EmitBook(AssemblerRegister64 sender, string done)
    {
        string other = done + ".other", row = done + ".row";
        const int registration = ThreadAccount.Registration * 8, cycles = ThreadAccount.Cycles * 8, calls = ThreadAccount.Calls * 8;
        c.mov(rax, __[sender + ThreadBlock.AccountOffset]);
        c.mov(ecx, r10d);
        c.sub(ecx, unchecked((int)(FamilyLayout.FamilyBase + FamilyLayout.DirectoryOffset)));
        c.shr(ecx, (byte)System.Numerics.BitOperations.Log2(ServiceEntry.SizeBytes));
        c.lea(rcx, __[rcx + rcx * 2]);
        c.lea(rdx, __[rax + rcx * 8 + ThreadAccount.RowsOffset]);
        c.cmp(__[rdx + registration], r11);
        c.jne(L(other));
        Here(row);
        c.add(__[rdx + cycles], r9);
        c.inc(__qword_ptr[rdx + calls]);
        c.jmp(L(done));

        // The index serves another registration by now. What its last one got stays with the member that had it.
        Here(other);
        c.inc(__qword_ptr[rax + ThreadAccount.SequenceOffset]);
        c.mov(ecx, __dword_ptr[rdx + registration]);
        c.and(ecx, ThreadAccount.MemberMask);
        c.mov(r10, __[rdx + cycles]);
        c.add(__[rax + rcx * 8 + ThreadAccount.GoneOffset], r10);
        c.xor(r10d, r10d);
        c.mov(__[rdx + cycles], r10);
        c.mov(__[rdx + calls], r10);
        c.mov(__[rdx + registration], r11);
        c.inc(__qword_ptr[rax + ThreadAccount.SequenceOffset]);
        c.jmp(L(row));
    }

    /// <summary>The kernel thread is about to sleep, perhaps inside calls that others pay for: sleeping uses no CPU. Changes rax, rcx, rdx.</summary>
    private void EmitPause(string done)
    {
        LoadHeader(rcx);
        c.cmp(__dword_ptr[rcx + FamilyHeader.AccountingOffset], 0);
        c.je(L(done));
        ReadTsc();
        c.mov(Gs(ThreadBlock.PausedAtOffset), rax);
        Here(done);
    }

    /// <summary>Behind a system call in place: keeps all registers but rcx and r11.</summary>
    private void EmitInPlaceResume()
    {
        c.cmp(Gs(ThreadBlock.PausedAtOffset), 0);
        c.je(L("in_place_back"));
        c.push(rax);
        c.push(rdx);
        c.push(r10);
        c.call(L("resume_clock"));
        c.pop(r10);
        c.pop(rdx);
        c.pop(rax);
        Here("in_place_back");
    }

    /// <summary>Ends a pause, if there is one: every call that is open on this kernel thread began that much later. Changes rax, rcx, rdx, r10, r11.</summary>
    /// <remarks>Inlined in lazy_switch: who finds a thread dead there knows the trampoline by its addresses. The pause is taken first. A context that is moved to another kernel thread in the middle leaves some clocks running: it never adds twice.</remarks>
    private void EmitResumeClock(string done)
    {
        string receiver = done + ".receiver", next = done + ".next";
        c.xor(r11d, r11d);
        c.xchg(Gs(ThreadBlock.PausedAtOffset), r11);
        c.test(r11, r11);
        c.je(L(done));
        ReadTsc();
        c.sub(rax, r11);
        c.mov(rcx, Gs(ThreadBlock.CurrentOffset));
        c.mov(r10d, PauseDepthLimit);
        Here(receiver);
        c.test(rcx, rcx);
        c.je(L(done));
        c.cmp(__qword_ptr[rcx + ReceiverBlock.BeganOffset], 0);
        c.je(L(next));
        c.add(__[rcx + ReceiverBlock.BeganOffset], rax);
        Here(next);
        c.mov(rcx, __[rcx + ReceiverBlock.SenderOffset]);
        c.cmp(rcx, Gs(ThreadBlock.SelfOffset));
        c.je(L(done));
        c.mov(rcx, __[rcx + ThreadBlock.OwnReceiverOffset]);
        c.dec(r10d);
        c.jne(L(receiver));
        Here(done);
    }

    /// <summary>Compares a word of the family header with zero, without a register: it lies at a fixed distance from the code.</summary>
    private void CompareHeaderFlag(int offset) =>
        c.AddInstruction(Instruction.Create(Code.Cmp_rm32_imm8, new MemoryOperand(Register.RIP, FamilyLayout.FamilyBase + offset, 8), 0));
}
