using Iced.Intel;
using Rpal.Machine.Blocks;

namespace Rpal.Machine.Emit;

/// <summary>The family's machine code, assembled for its one address.</summary>
internal sealed class MachineCode
{
    private MachineCode(byte[] bytes, IReadOnlyDictionary<Routine, long> routines, long[] trampolines, IReadOnlyDictionary<string, long> labels, IReadOnlyList<string> points, IReadOnlyList<string> killPoints, PerCpuSection[] sections)
    {
        KillPoints = killPoints;
        Sections = sections;
        Bytes = bytes;
        Routines = routines;
        Trampolines = trampolines;
        Labels = labels;
        Points = points;
    }

    public byte[] Bytes { get; }

    /// <summary>Address of each routine.</summary>
    public IReadOnlyDictionary<Routine, long> Routines { get; }

    /// <summary>Address of each member's signal trampoline.</summary>
    public IReadOnlyList<long> Trampolines { get; }

    /// <summary>Address of each label, for the listing.</summary>
    public IReadOnlyDictionary<string, long> Labels { get; }

    /// <summary>Names of the numbered points.</summary>
    public IReadOnlyList<string> Points { get; }

    /// <summary>Names of the places where only a kill is injected.</summary>
    public IReadOnlyList<string> KillPoints { get; }

    /// <summary>The per-CPU sections.</summary>
    public IReadOnlyList<PerCpuSection> Sections { get; }

    /// <summary>Assembles the code.</summary>
    /// <param name="inject">Test builds: a breakpoint before every numbered point.</param>
    /// <exception cref="InvalidOperationException">It does not fit the region set aside for it.</exception>
    public static MachineCode Assemble(bool inject = false) => new Emitter(inject).Assemble();

    internal static MachineCode Create(Assembler assembler, Dictionary<string, Label> labels, Dictionary<Routine, string> routines, string[] trampolines, IReadOnlyList<string> points, IReadOnlyList<string> killPoints, Func<IReadOnlyDictionary<string, long>, PerCpuSection[]> sections)
    {
        using var stream = new MemoryStream();
        AssemblerResult result = assembler.Assemble(new StreamCodeWriter(stream), (ulong)FamilyLayout.CodeBase, BlockEncoderOptions.ReturnNewInstructionOffsets);
        byte[] bytes = stream.ToArray();
        Dictionary<string, long> addresses = labels.ToDictionary(l => l.Key, l => (long)result.GetLabelRIP(l.Value));
        long room = FamilyLayout.CodeBytes - Emitter.SectionTableBytes;
        return bytes.Length <= room
            ? new MachineCode(bytes, routines.ToDictionary(r => r.Key, r => addresses[r.Value]), [.. trampolines.Select(t => addresses[t])], addresses, points, killPoints, sections(addresses))
            : throw new InvalidOperationException($"The machine code is {bytes.Length} bytes, the region for it {room} (FamilyLayout.CodeBytes, less the table of sections).");
    }
}
