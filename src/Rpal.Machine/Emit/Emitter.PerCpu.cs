using Iced.Intel;
using Rpal.Linux;
using Rpal.Machine.Blocks;
using static Iced.Intel.AssemblerRegisters;

namespace Rpal.Machine.Emit;

internal sealed partial class Emitter
{
    /// <summary>Room for the descriptors of all sections, at a fixed place: a section names its own by address.</summary>
    internal const int SectionCapacity = 16, SectionTableBytes = SectionCapacity * RseqSection.SizeBytes;

    private const int AreaCpu = 4, AreaSection = 8;
    private const string Number = "percpu_number";

    private readonly List<string> _sections = [];
    private long _sectionTable = FamilyLayout.CodeBase + FamilyLayout.CodeBytes - SectionTableBytes;
    private bool _areaInThread;
    private int _areaOffset = ThreadBlock.RseqCpuStartOffset;

    /// <summary>
    /// Per-CPU sections. The kernel's area of the thread is at <c>gs:</c> in the family's build (the kernel thread's block, whatever context
    /// runs there), at <c>fs:</c> in the build of one process (libc's registration).
    /// </summary>
    /// <remarks>
    /// Every access to the area is one instruction relative to GS or FS. So no address of an area is ever held across a lazy switch: what
    /// is stored goes to the kernel thread that executes the store, and whatever moves the context later aborts the section first.
    /// <code>
    ///  name         area.section = descriptor
    ///  name_start   ┐ cpu = area.cpu; negative: this thread is not registered, nothing is done
    ///               │ loads, checks; jumps out where there is nothing to store
    ///               │ the commit: one instruction, the last
    ///  name_end     ┘
    ///  signature
    ///  name_abort   preempted, migrated or signalled in between: from the start again
    /// </code>
    /// All take rdi = word of CPU 0, rsi = bytes from one CPU's word to the next's. They change rax, rcx, rdx, r8 to r11, call nothing, use no stack, and up to their end
    /// leave their arguments as they are: a section that starts again needs them.
    /// </remarks>
    private void EmitPerCpu()
    {
        EmitPerCpuAdd();
        EmitPerCpuPush();
        EmitPerCpuPop();
        EmitPerCpuStore();
        EmitPerCpuBlockPush();
        EmitPerCpuBlockPop();

        Begin(Routine.PerCpuNumber, Number);
        EmitHasBlock(Number + "_no_cpu");
        c.mov(eax, Area32(AreaCpu));
        c.ret();
        Here(Number + "_no_cpu");
        c.mov(eax, (int)NotRegistered);
        c.ret();
    }

    /// <summary>rdx is added to the CPU's 64-bit word. Out: eax = 0, or -1 not registered.</summary>
    private void EmitPerCpuAdd()
    {
        Begin(Routine.PerCpuAdd, "percpu_add");
        BeginSection("percpu_add");
        c.imul(rax, rsi);
        c.add(__qword_ptr[rdi + rax], rdx);
        EndSection("percpu_add");
        c.xor(eax, eax);
        c.ret();
        EmitAbort("percpu_add");
    }

    /// <summary>
    /// ecx = node, rdx = the list's links u32[]: links[node] = head, head = node + 1. A link or head is a node's number plus 1, or 0.
    /// Out: eax = 0, or -1.
    /// </summary>
    /// <remarks>The link may be written and the section then start again: nobody but this thread has the node yet.</remarks>
    private void EmitPerCpuPush()
    {
        Begin(Routine.PerCpuPush, "percpu_push");
        BeginSection("percpu_push");
        c.imul(rax, rsi);
        c.mov(ecx, ecx);                                         // the upper half is the caller's
        c.mov(r8d, __dword_ptr[rdi + rax]);
        c.mov(__dword_ptr[rdx + rcx * 4], r8d);
        c.lea(r9d, __[rcx + 1]);
        c.mov(__dword_ptr[rdi + rax], r9d);
        EndSection("percpu_push");
        c.xor(eax, eax);
        c.ret();
        EmitAbort("percpu_push");
    }

    /// <summary>
    /// rdx = links, ecx = how many nodes there are: head = links[head - 1]. Out: rax = the node, or -1 not registered, -2 empty,
    /// -3 the head is no node's: it was read once, and nothing behind it was looked at.
    /// </summary>
    private void EmitPerCpuPop()
    {
        Begin(Routine.PerCpuPop, "percpu_pop");
        BeginSection("percpu_pop");
        c.imul(rax, rsi);
        c.mov(r8d, __dword_ptr[rdi + rax]);
        c.sub(r8d, 1);
        c.jb(L("percpu_pop_empty"));
        c.cmp(r8d, ecx);
        c.jae(L("percpu_pop_corrupt"));
        c.mov(r9d, __dword_ptr[rdx + r8 * 4]);
        c.mov(__dword_ptr[rdi + rax], r9d);
        EndSection("percpu_pop");
        c.mov(eax, r8d);
        c.ret();
        Here("percpu_pop_empty");
        c.mov(rax, PopEmpty);
        c.ret();
        Here("percpu_pop_corrupt");
        c.mov(rax, PopCorrupt);
        c.ret();
        EmitAbort("percpu_pop");
    }

    internal const long NotRegistered = -1, PopEmpty = -2, PopCorrupt = -3;

    /// <summary>The first 32-bit word of the CPU's line is compared with edx; where it equals, ecx goes to the second. Out: eax = 0 stored, 1 it differed, -1.</summary>
    private void EmitPerCpuStore()
    {
        Begin(Routine.PerCpuStore, "percpu_store");
        BeginSection("percpu_store");
        c.imul(rax, rsi);
        c.cmp(__dword_ptr[rdi + rax], edx);
        c.jne(L("percpu_store_differs"));
        c.mov(__dword_ptr[rdi + rax + sizeof(uint)], ecx);
        EndSection("percpu_store");
        c.xor(eax, eax);
        c.ret();
        Here("percpu_store_differs");
        c.mov(eax, 1);
        c.ret();
        EmitAbort("percpu_store");
    }

    /// <summary>eax = the CPU, out of the section to name_no_cpu when the kernel does not know this thread. Nothing lies between the store of the descriptor and the section's start.</summary>
    private void BeginSection(string name)
    {
        EmitHasBlock(name + "_no_cpu");
        c.mov(rax, _sectionTable + _sections.Count * RseqSection.SizeBytes);
        c.mov(Area64(AreaSection), rax);
        Here(name + "_start");
        c.mov(eax, Area32(AreaCpu));
        c.test(eax, eax);
        c.js(L(name + "_no_cpu"));
        _sections.Add(name);
    }

    /// <summary>
    /// Jumps when GS names no block. Comes back: GS, which anybody may set. A block begins with its own address; a fault of the first
    /// instruction here goes on at <paramref name="otherwise"/> too. Changes rax, r11.
    /// </summary>
    private void EmitHasBlock(string otherwise)
    {
        if (!_areaInThread)
        {
            c.mov(r11, Gs(ThreadBlock.SelfOffset));
            c.mov(rax, FamilyLayout.MemberAreaBase);
            c.sub(r11, rax);
            c.mov(rax, FamilyLayout.MemberAreaBytes * FamilyLayout.MemberCapacity);
            c.cmp(r11, rax);
            c.jae(L(otherwise));
        }
    }

    private void EndSection(string name) => Here(name + "_end");

    /// <summary>The signature as an instruction that nobody executes: ud1 edi, [rip + signature].</summary>
    private void EmitAbort(string name)
    {
        Here(name + "_no_cpu");
        c.mov(rax, NotRegistered);
        c.ret();
        c.db([0x0F, 0xB9, 0x3D, .. BitConverter.GetBytes(Sys.RseqSignature)]);
        Here(name + "_abort");
        c.jmp(L(name));
    }

    private AssemblerMemoryOperand Area32(int offset) => _areaInThread ? __dword_ptr.fs[_areaOffset + offset] : __dword_ptr.gs[_areaOffset + offset];

    private AssemblerMemoryOperand Area64(int offset) => _areaInThread ? __qword_ptr.fs[_areaOffset + offset] : __qword_ptr.gs[_areaOffset + offset];
}
