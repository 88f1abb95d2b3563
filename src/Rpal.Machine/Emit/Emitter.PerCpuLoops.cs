using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Rpal.Machine.Emit;

internal sealed partial class Emitter
{
    /// <summary>For the process's own build: the sections, the address of the thread's area, and the seed's table as bare loops.</summary>
    /// <param name="sectionTable">Where the descriptors will lie, 32-byte aligned; the code comes right behind.</param>
    /// <param name="areaOffset">Of the thread's area from FS.</param>
    public PerCpuCode AssemblePerCpu(long sectionTable, int areaOffset)
    {
        (_sectionTable, _areaOffset, _areaInThread) = (sectionTable, areaOffset, true);
        EmitPerCpu();

        Here("percpu_area");
        c.mov(rax, __qword_ptr.fs[0]);                           // TLS ABI: fs:0 = FS
        c.add(rax, _areaOffset);
        c.ret();
        EmitPerCpuLoops();

        long begin = sectionTable + SectionTableBytes;
        using var stream = new MemoryStream();
        AssemblerResult result = c.Assemble(new StreamCodeWriter(stream), (ulong)begin, BlockEncoderOptions.ReturnNewInstructionOffsets);
        Dictionary<string, long> labels = _labels.ToDictionary(l => l.Key, l => (long)result.GetLabelRIP(l.Value));
        return new PerCpuCode(begin, stream.ToArray(), labels, SectionsOf(_sections, labels));
    }

    /// <summary>The descriptors, in the order of the table.</summary>
    private static PerCpuSection[] SectionsOf(IEnumerable<string> names, IReadOnlyDictionary<string, long> labels) =>
        [.. names.Select(n => new PerCpuSection(n, labels[n + "_start"], labels[n + "_end"], labels[n + "_abort"]))];

    /// <summary>Seed 004's rows. rdi = word of CPU 0, rsi = stride, rdx = rounds. Each round adds 1 to a word; they differ in how.</summary>
    private void EmitPerCpuLoops()
    {
        Here("loop_plain");                                      // baseline: one word of this thread's own
        c.inc(__qword_ptr[rdi]);
        c.dec(rdx);
        c.jne(L("loop_plain"));
        c.ret();

        EmitExchangeLoop("loop_lock_cmpxchg", isLocked: true);
        EmitExchangeLoop("loop_cmpxchg", isLocked: false);

        Here("loop_section");
        BeginSection("loop_section");
        c.imul(rax, rsi);
        c.inc(__qword_ptr[rdi + rax]);
        EndSection("loop_section");
        c.dec(rdx);
        c.jne(L("loop_section"));
        c.ret();
        EmitAbort("loop_section");

        Here("loop_number");                                     // reading the CPU's number only
        c.mov(eax, Area32(AreaCpu));
        c.dec(rdx);
        c.jne(L("loop_number"));
        c.ret();
    }

    /// <summary>Read the CPU's word, compare and exchange it. Not locked, it is only right inside a section, so it is one; the exchange is its commit.</summary>
    private void EmitExchangeLoop(string name, bool isLocked)
    {
        Here(name);
        if (isLocked)
        {
            c.mov(eax, Area32(AreaCpu));
        }
        else
        {
            BeginSection(name);
        }

        c.imul(rax, rsi);
        c.lea(r8, __[rdi + rax]);
        c.mov(rax, __qword_ptr[r8]);
        c.lea(rcx, __[rax + 1]);
        if (isLocked)
        {
            c.@lock.cmpxchg(__qword_ptr[r8], rcx);
        }
        else
        {
            c.cmpxchg(__qword_ptr[r8], rcx);
            EndSection(name);
        }

        c.jne(L(name));
        c.dec(rdx);
        c.jne(L(name));
        c.ret();
        if (!isLocked)
        {
            EmitAbort(name);
        }
    }
}
