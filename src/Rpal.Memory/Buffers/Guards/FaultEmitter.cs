using System.Text;
using Iced.Intel;
using Rpal.Linux;
using Rpal.Machine.Emit;
using static Iced.Intel.AssemblerRegisters;

namespace Rpal.Memory.Buffers.Guards;

/// <summary>
/// Emits the handler of SIGSEGV that stands before the runtime's. A fault in a guarded buffer ends the process with a message; any other is the previous handler's,
/// with the same arguments on the same stack, as if this one were not there. Where protection keys are used, another stands before the runtime's handler of SIGFPE.
/// </summary>
/// <remarks>
/// <para>No libc, no thread-local storage, no managed code: it runs wherever the fault came from.</para>
/// <para>The kernel begins handlers with the key rights of a new process: none. The runtime makes an exception of a fault by leaving its handler without rt_sigreturn, so its
/// thread would go on without the rights of its lease: both handlers set them as the frame has them.</para>
/// </remarks>
internal sealed class FaultEmitter
{
    private const int SigSegv = Signal.SIGSEGV, SiAddress = 16, MessageBytes = 1024, StandardError = 2, Write = (int)SyscallNumber.Write, ExitStatus = 128 + SigSegv;

    private readonly Assembler c = new(64);
    private readonly List<(Label Label, string Text)> _texts = [];

    /// <param name="table">Where the <see cref="GuardTableHeader"/> lies.</param>
    /// <param name="at">Where the code will lie. It begins with the handler of SIGSEGV.</param>
    /// <param name="arithmetic">Where that of SIGFPE begins.</param>
    public static byte[] Assemble(nint table, nint at, out nint arithmetic)
    {
        var emitter = new FaultEmitter();
        emitter.EmitHandler(table);
        using var stream = new MemoryStream();
        AssemblerResult result = emitter.c.Assemble(new StreamCodeWriter(stream), (ulong)at, BlockEncoderOptions.ReturnNewInstructionOffsets);
        arithmetic = (nint)result.GetLabelRIP(emitter._arithmetic);
        return stream.ToArray();
    }

    /// <summary>In: edi = signal, rsi = siginfo, rdx = ucontext. r9 = table, r10 = previous handler, rax = fault's address, rcx = entry, r8d = entries left.</summary>
    private void EmitHandler(nint table)
    {
        Label next = c.CreateLabel("next"), loop = c.CreateLabel("loop"), chain = c.CreateLabel("chain"), found = c.CreateLabel("found"), ignored = c.CreateLabel("ignored");
        c.mov(r9, (long)table);
        c.mov(r10, __qword_ptr[r9 + GuardTableHeader.PreviousOffset]);
        c.cmp(__dword_ptr[rsi + SignalFrame.SiCode], 0);         // sent, not raised by an instruction
        c.jle(chain);
        c.mov(rax, __qword_ptr[rsi + SiAddress]);
        c.mov(r8d, __dword_ptr[r9 + GuardTableHeader.CountOffset]);
        c.lea(rcx, __[r9 + GuardTableHeader.SizeBytes]);
        c.Label(ref loop);
        c.test(r8d, r8d);
        c.je(chain);
        c.cmp(rax, __qword_ptr[rcx + GuardEntry.BeginOffset]);
        c.jb(next);
        c.cmp(rax, __qword_ptr[rcx + GuardEntry.EndOffset]);
        c.jb(found);
        c.Label(ref next);
        c.add(rcx, GuardEntry.SizeBytes);
        c.dec(r8d);
        c.jmp(loop);

        c.Label(ref chain);
        EmitRights();
        c.cmp(r10, SignalHandler.Ignore);
        c.jbe(ignored);
        c.jmp(r10);
        c.Label(ref ignored);                                    // nobody stood here before: the fault repeats and has its default action
        c.sub(rsp, 8);
        EmitDefaultAction();
        c.add(rsp, 8);
        c.ret();

        _arithmetic = c.CreateLabel("arithmetic");
        c.Label(ref _arithmetic);
        c.mov(r9, (long)table);
        c.mov(r10, __qword_ptr[r9 + GuardTableHeader.PreviousArithmeticOffset]);
        c.jmp(chain);

        c.Label(ref found);
        EmitMessage();
        c.mov(edi, SigSegv);
        EmitEnd();
        EmitDecimal();
        foreach ((Label label, string text) in _texts)
        {
            Label here = label;
            c.Label(ref here);
            c.db(Encoding.ASCII.GetBytes(text));
        }
    }

    /// <summary>Sets PKRU as the interrupted code had it. rdx = ucontext, r9 = table. Changes rax, rcx, r8, r11.</summary>
    private void EmitRights()
    {
        Label done = c.CreateLabel("rights_done"), set = c.CreateLabel("rights_set");
        c.mov(r8d, __dword_ptr[r9 + GuardTableHeader.KeyOffsetOffset]);
        c.test(r8d, r8d);
        c.je(done);
        c.mov(r11, __qword_ptr[rdx + SignalFrame.FpRegs]);
        c.test(r11, r11);
        c.je(done);
        c.cmp(__dword_ptr[r11 + SignalFrame.FxsaveMagic1], unchecked((int)SignalFrame.FxsaveMagic1Value));
        c.jne(done);
        c.xor(eax, eax);                                         // not in the frame: the initial value, all rights
        c.test(__dword_ptr[r11 + KeyRegister.StatesInUseOffset], 1 << KeyRegister.StateNumber);
        c.je(set);
        c.mov(eax, __dword_ptr[r11 + r8]);
        c.Label(ref set);
        c.mov(r11, rdx);
        c.xor(ecx, ecx);
        c.xor(edx, edx);
        c.wrpkru();
        c.mov(rdx, r11);
        c.Label(ref done);
    }

    private Label _decimal, _arithmetic;

    /// <summary>One write: other threads' messages do not come between. rbx = entry, rdi = end of the text so far, ebp = the word's parts.</summary>
    private void EmitMessage()
    {
        Label readers = c.CreateLabel("readers"), nobody = c.CreateLabel("nobody"), done = c.CreateLabel("done");
        _decimal = c.CreateLabel("decimal");
        c.mov(rbx, rcx);
        c.sub(rsp, MessageBytes);
        c.mov(rdi, rsp);
        c.cld();
        c.lea(rsi, __[rbx + GuardEntry.TextOffset]);
        c.mov(ecx, __dword_ptr[rbx + GuardEntry.TextLengthOffset]);
        c.rep.movsb();
        c.mov(rax, __qword_ptr[rbx + GuardEntry.WordOffset]);
        c.mov(r12, __qword_ptr[rax]);                            // read once
        c.mov(rax, r12);
        c.shr(rax, 26);
        c.and(eax, 0x3F);
        c.je(readers);
        c.mov(ebp, eax);
        Say("party ");
        c.lea(eax, __[rbp - 1]);
        c.call(_decimal);
        Say(" writes (its thread ");
        c.mov(rax, r12);
        c.shr(rax, 32);
        c.and(eax, 0x3F_FFFF);
        c.call(_decimal);
        Say(")");
        c.jmp(done);
        c.Label(ref readers);
        c.and(r12d, (1 << LockWord.ReaderBits) - 1);
        c.je(nobody);
        c.popcnt(eax, r12d);
        c.call(_decimal);
        Say(" read it");
        c.jmp(done);
        c.Label(ref nobody);
        Say("nobody");
        c.Label(ref done);
        Say(". The access came from thread ");
        c.mov(eax, SystemCall.GetTid);
        c.syscall();
        c.call(_decimal);
        Say(".\n");
        c.mov(rdx, rdi);
        c.sub(rdx, rsp);
        c.mov(rsi, rsp);
        c.mov(edi, StandardError);
        c.mov(eax, Write);
        c.syscall();
    }

    /// <summary>Ends the process by SIGSEGV, as it would without a handler; where that has no effect (the first process of a container), by exit. In: edi = SIGSEGV.</summary>
    private void EmitEnd()
    {
        EmitDefaultAction();
        c.mov(eax, SystemCall.GetPid);
        c.syscall();
        c.mov(ebp, eax);
        c.mov(eax, SystemCall.GetTid);
        c.syscall();
        c.mov(edi, ebp);
        c.mov(esi, eax);
        c.mov(edx, SigSegv);
        c.mov(eax, SystemCall.Tgkill);
        c.syscall();
        c.mov(__qword_ptr[rsp], 0);
        c.mov(edi, SystemCall.SetMask);
        c.mov(rsi, rsp);
        c.xor(edx, edx);
        c.mov(r10d, SystemCall.SignalSetBytes);
        c.mov(eax, SystemCall.RtSigprocmask);
        c.syscall();                                             // the signal arrives here
        c.mov(edi, ExitStatus);
        c.mov(eax, SystemCall.ExitGroup);
        c.syscall();
        c.hlt();
    }

    /// <summary>rt_sigaction(SIG_DFL) of edi. Changes rax, rcx, rdx, rsi, rdi, r10, r11.</summary>
    private void EmitDefaultAction()
    {
        c.sub(rsp, KernelSigaction.SizeBytes);
        c.xor(eax, eax);
        for (int i = 0; i < KernelSigaction.SizeBytes; i += 8)
        {
            c.mov(__qword_ptr[rsp + i], rax);
        }

        c.mov(rsi, rsp);
        c.xor(edx, edx);
        c.mov(r10d, SystemCall.SignalSetBytes);
        c.mov(eax, SystemCall.RtSigaction);
        c.syscall();
        c.add(rsp, KernelSigaction.SizeBytes);
    }

    /// <summary>Appends eax in decimal at rdi. Changes rax, rcx, rdx, r8, r9.</summary>
    private void EmitDecimal()
    {
        Label divide = c.CreateLabel("divide"), pop = c.CreateLabel("pop");
        c.Label(ref _decimal);
        c.mov(r8d, 10);
        c.xor(r9d, r9d);
        c.Label(ref divide);
        c.xor(edx, edx);
        c.div(r8d);
        c.push(rdx);
        c.inc(r9d);
        c.test(eax, eax);
        c.jne(divide);
        c.Label(ref pop);
        c.pop(rax);
        c.add(al, (byte)'0');
        c.mov(__byte_ptr[rdi], al);
        c.inc(rdi);
        c.dec(r9d);
        c.jne(pop);
        c.ret();
    }

    /// <summary>Appends a constant at rdi. Changes rcx, rsi.</summary>
    private void Say(string text)
    {
        Label label = c.CreateLabel();
        _texts.Add((label, text));
        c.lea(rsi, __[label]);
        c.mov(ecx, text.Length);
        c.rep.movsb();
    }
}
