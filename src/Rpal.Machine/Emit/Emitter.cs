using Iced.Intel;
using Rpal.Machine.Blocks;
using static Iced.Intel.AssemblerRegisters;

namespace Rpal.Machine.Emit;

/// <summary>Emits Rpal's machine code. One method emits one routine; this file has what they share.</summary>
/// <remarks>
/// The code runs on any kernel thread of the family, in any member's user context, so it uses no thread-local storage, no
/// libc and no absolute address but the family's own. System V calling convention; offsets are those of the block structs.
/// <para>
/// A <em>point</em> is an instruction inside a critical range: a place where the kernel thread's block and the user context
/// disagree, so that a signal landing there is a case of its own. Points are numbered; a build with injection puts a
/// breakpoint before each, which the trampoline turns into a signal that lands exactly there.
/// </para></remarks>
internal sealed partial class Emitter
{
    private readonly Assembler c = new(64);
    private readonly bool _inject;
    private readonly Dictionary<string, Label> _labels = [];
    private readonly Dictionary<Routine, string> _routines = [];
    private readonly List<string> _points = [];
    private readonly List<string> _killPoints = [];

    public Emitter(bool inject) => _inject = inject;

    /// <summary>The numbered points in order: index is the number.</summary>
    public IReadOnlyList<string> Points => _points;

    /// <summary>Emits everything. The call comes first, so it starts on a page.</summary>
    public MachineCode Assemble()
    {
        EmitCall();
        EmitAccount();
        EmitFloor();
        EmitWait();
        EmitWaitReply();
        EmitPerCpu();                                            // before the trampolines, which have a recovery point for each section
        EmitOnSignal();
        EmitTrampolines();
        EmitArm();
        EmitAgent();
        EmitSpawn();
        EmitRunSteps();
        EmitCopy();
        return MachineCode.Create(c, _labels, _routines, [.. Enumerable.Range(0, FamilyLayout.MemberCapacity).Select(TrampolineLabel)], _points, _killPoints, l => SectionsOf(_sections, l));
    }

    private Label L(string name)
    {
        if (!_labels.TryGetValue(name, out Label label))
        {
            _labels[name] = label = c.CreateLabel(name);
        }

        return label;
    }

    private void Here(string name)
    {
        Label label = L(name);
        c.Label(ref label);
        _labels[name] = label;                                   // a struct: Iced notes the place in it
    }

    private void Begin(Routine routine, string name)
    {
        Here(name);
        _routines[routine] = name;
    }

    private void Point(string name)
    {
        Here(name);
        if (_inject)
        {
            c.int3();
            Here(name + "@hit");
        }

        _points.Add(name);
    }

    private void PushCalleeSaved()
    {
        c.push(rbx);
        c.push(rbp);
        c.push(r12);
        c.push(r13);
        c.push(r14);
        c.push(r15);
    }

    private void PopCalleeSaved()
    {
        c.pop(r15);
        c.pop(r14);
        c.pop(r13);
        c.pop(r12);
        c.pop(rbp);
        c.pop(rbx);
    }

    /// <summary>rax = the family header.</summary>
    private void LoadHeader(AssemblerRegister64 into) => c.mov(into, FamilyLayout.FamilyBase);

    /// <summary>futex(rdi, FUTEX_WAKE | PRIVATE, count). Changes rax, rcx, rdx, rsi, r11.</summary>
    private void FutexWake(int count)
    {
        c.mov(esi, SystemCall.FutexWakePrivate);
        c.mov(edx, count);
        c.mov(eax, SystemCall.Futex);
        c.syscall();
    }

    /// <summary>futex(rdi, FUTEX_WAIT | PRIVATE, edx, r10). Changes rax, rcx, rsi, r11.</summary>
    private void FutexWait()
    {
        c.mov(esi, SystemCall.FutexWaitPrivate);
        c.mov(eax, SystemCall.Futex);
        c.syscall();
    }

    /// <summary>rax = time stamp counter. Changes rdx.</summary>
    private void ReadTsc()
    {
        c.rdtsc();
        c.shl(rdx, 32);
        c.or(rax, rdx);
    }

    /// <summary>
    /// Spins while the low two bits of the word are zero, for the budget at most; falls through when it is used up, with
    /// the start time in r8. Does not spin on the CPU that the other side needs. Bound: the family header's spin limit.
    /// Changes rax, rcx, rdx, r9.
    /// </summary>
    private void SpinWhileZero(AssemblerRegister64 block, int word, int budget, int peerCpu, string hit)
    {
        string loop = hit + ".spin", sleep = hit + ".sleep";
        ReadTscAndCpu();
        c.mov(r8, rax);
        c.test(__byte_ptr[block + word], 3);
        c.jne(L(hit));
        c.cmp(ecx, __dword_ptr[block + peerCpu]);
        c.je(L(sleep));
        c.mov(r9d, __dword_ptr[block + budget]);
        Here(loop);
        c.test(__byte_ptr[block + word], 3);
        c.jne(L(hit));
        c.pause();
        ReadTsc();
        c.sub(rax, r8);
        c.cmp(rax, r9);
        c.jb(L(loop));
        Here(sleep);
        c.nop();
    }

    /// <summary>rax = time stamp counter, ecx = CPU and node as Linux keeps them in IA32_TSC_AUX. Changes rdx.</summary>
    private void ReadTscAndCpu()
    {
        c.rdtscp();
        c.shl(rdx, 32);
        c.or(rax, rdx);
    }

    /// <summary>
    /// After a sleep that began at r8: would the full limit have been enough to spin it out? Twice the limit is compared,
    /// because the sleep includes the wake-up itself. Then spin that long next time; else half as long as this time.
    /// Changes rax, rcx, rdx.
    /// </summary>
    private void AdaptBudget(AssemblerRegister64 block, int budget, string done)
    {
        string shorter = done + ".shorter";
        ReadTsc();
        c.sub(rax, r8);
        LoadHeader(rcx);
        c.mov(ecx, __dword_ptr[rcx + FamilyHeader.SpinLimitOffset]);
        c.lea(rdx, __[rcx + rcx]);
        c.cmp(rax, rdx);
        c.jae(L(shorter));
        c.mov(__dword_ptr[block + budget], ecx);
        c.jmp(L(done));
        Here(shorter);
        c.shr(__dword_ptr[block + budget], 1);
    }

    private static AssemblerMemoryOperand Gs(int offset) => __qword_ptr.gs[offset];
}
