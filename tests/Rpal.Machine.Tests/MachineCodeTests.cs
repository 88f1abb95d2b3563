using Iced.Intel;
using Rpal.Machine.Blocks;
using Rpal.Machine.Emit;

namespace Rpal.Machine.Tests;

/// <summary>The emitted code as bytes: against its listing, and what must hold of it wherever an instruction moves.</summary>
public sealed class MachineCodeTests
{
    private const string WriteVariable = "RPAL_WRITE_LISTING";
    private const int ContextLines = 3, ReportedDifferences = 20;

    /// <summary>The ranges in which a signal is a case of its own, and the points they must have.</summary>
    public static TheoryData<string, string, string[]> Ranges() => new()
    {
        { "entry_selector", "entry_end", ["entry_selector", "entry_fs_load", "entry_fs", "entry_rsp"] },
        {
            "exit_branch", "exit_end",
            ["exit_branch", "exit_sender", "exit_nested_compare", "exit_nested_branch", "exit_selector", "exit_fs_load", "exit_fs", "exit_rsp", "exit_done", "exit_ready"]
        },
        { "nested_fs_load", "exit_wake_waiters", ["nested_fs_load", "nested_fs", "nested_receiver", "nested_rsp", "nested_done", "nested_ready"] },
    };

    /// <summary>RPAL_WRITE_LISTING=1 dotnet test tests/Rpal.Machine.Tests --filter listing writes it anew.</summary>
    [Fact]
    public void The_code_is_what_the_listing_says()
    {
        string path = Repository.PathOf("docs", "machine-code.lst"), now = Listing.Format(MachineCode.Assemble());
        if (Environment.GetEnvironmentVariable(WriteVariable) == "1")
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path, now);
        }

        Assert.True(File.Exists(path), $"docs/machine-code.lst is missing: write it with {WriteVariable}=1.");
        string[] wanted = File.ReadAllLines(path), found = now.TrimEnd('\n').Split('\n');
        int first = Enumerable.Range(0, Math.Max(wanted.Length, found.Length)).FirstOrDefault(i => i >= wanted.Length || i >= found.Length || wanted[i] != found[i], -1);
        Assert.True(first < 0, first < 0 ? "" : $"""
            The code differs from docs/machine-code.lst from line {first + 1} on. If that is meant: {WriteVariable}=1 dotnet test tests/Rpal.Machine.Tests
            {string.Join('\n', wanted.Skip(Math.Max(0, first - ContextLines)).Take(ContextLines + ReportedDifferences).Select(l => "- " + l))}
            {string.Join('\n', found.Skip(Math.Max(0, first - ContextLines)).Take(ContextLines + ReportedDifferences).Select(l => "+ " + l))}
            """);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_build_fits_its_region_and_decodes_without_gaps(bool inject)
    {
        MachineCode code = MachineCode.Assemble(inject);
        Assert.InRange(code.Bytes.Length, 1, (int)FamilyLayout.CodeBytes);
        Assert.DoesNotContain(Listing.Decode(code), i => i.IsInvalid);
        Assert.Equal((int)Routine.Count, code.Routines.Count);
        Assert.True(code.Points.Count <= FamilyHeader.PointCapacity);
        Assert.Equal(inject ? code.Points.Count : 0, Listing.Decode(code).Count(i => i.Code == Code.Int3));
    }

    [Theory]
    [MemberData(nameof(Ranges))]
    public void A_critical_range_has_its_points_in_order_and_one_at_every_instruction(string from, string to, string[] points)
    {
        MachineCode code = MachineCode.Assemble();
        long begin = code.Labels[from], end = code.Labels[to];
        Assert.Equal(points, code.Points.Where(p => code.Labels[p] >= begin && code.Labels[p] < end).OrderBy(p => code.Labels[p]));
        long[] instructions = [.. Listing.Decode(code).Select(i => (long)i.IP).Where(ip => ip >= begin && ip <= code.Labels[points[^1]])];
        Assert.Equal(points.Select(p => code.Labels[p]), instructions);
    }

    /// <summary>Places outside the critical ranges where a death is a case of its own.</summary>
    private static readonly string[] s_deaths = ["claim_won", "reclaim_won", "claim_owned", "reclaim_owned", "entry_current", "handler_enter", "handler_left", "wait_reply"];

    [Fact]
    public void Every_other_point_lies_in_a_critical_range() =>
        Assert.Equal(MachineCode.Assemble().Points.Except(s_deaths).Order(), Ranges().SelectMany(r => (string[])r[2]).Order());

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Every_system_call_is_made_from_inside_the_region(bool inject)
    {
        ulong begin = (ulong)FamilyLayout.CodeBase, end = begin + (ulong)FamilyLayout.CodeBytes;
        Instruction[] calls = [.. Listing.Decode(MachineCode.Assemble(inject)).Where(i => i.Code == Code.Syscall)];
        Assert.NotEmpty(calls);
        Assert.All(calls, i => Assert.InRange(i.NextIP, begin + 1, end - 1));          // the kernel looks at the address behind it
    }

    [Fact]
    public void No_instruction_reaches_into_thread_local_storage() =>
        Assert.DoesNotContain(Listing.Decode(MachineCode.Assemble()), i => i.MemorySegment == Register.FS
            && i.SegmentPrefix == Register.FS);

    /// <summary>What the kernel asks of a section, and what makes a lazy switch anywhere in it harmless: no address of the kernel's area is held in a register.</summary>
    [Fact]
    public void A_per_CPU_section_has_one_commit_at_its_end_calls_nothing_and_finds_its_area_through_GS()
    {
        MachineCode code = MachineCode.Assemble();
        Instruction[] all = [.. Listing.Decode(code)];
        Assert.Equal(["percpu_add", "percpu_push", "percpu_pop", "percpu_store", "percpu_block_push", "percpu_block_pop"], code.Sections.Select(s => s.Name));
        foreach (PerCpuSection section in code.Sections)
        {
            Instruction[] inside = [.. all.Where(i => (long)i.IP >= section.Start && (long)i.IP < section.End)];
            Assert.Equal(section.End, (long)inside[^1].NextIP);
            Assert.True(inside[^1].Op0Kind == OpKind.Memory && inside[^1].MemoryBase == Register.RDI, section.Name);
            Assert.DoesNotContain(inside, i => i.FlowControl is FlowControl.Call or FlowControl.IndirectBranch or FlowControl.Return || i.Code == Code.Syscall || i.HasLockPrefix);
            Instruction store = all.Single(i => (long)i.NextIP == section.Start);
            Assert.Equal((Register.GS, (ulong)ThreadBlock.RseqCpuStartOffset + 8), (store.MemorySegment, store.MemoryDisplacement64));
            Assert.Equal((Register.GS, (ulong)ThreadBlock.RseqCpuStartOffset + 4), (inside[0].MemorySegment, inside[0].MemoryDisplacement64));
            Assert.True(section.Abort >= section.End);
            Assert.Equal(Rpal.Linux.Sys.RseqSignature, BitConverter.ToUInt32(code.Bytes, (int)(section.Abort - FamilyLayout.CodeBase) - sizeof(uint)));
        }
    }

    [Fact]
    public void One_instruction_of_the_copy_touches_memory_and_its_recovery_point_is_right_behind()
    {
        MachineCode code = MachineCode.Assemble();
        Instruction[] copy = [.. Listing.Decode(code).Where(i => (long)i.IP >= code.Routines[Routine.Copy]).TakeWhile(i => i.Mnemonic != Mnemonic.Ret)];
        Instruction move = Assert.Single(copy, i => i.Mnemonic == Mnemonic.Movsb || i.MemoryBase != Register.None);
        Assert.Equal((code.Labels["copy_move"], code.Labels["copy_fault"]), ((long)move.IP, (long)move.NextIP));
        Assert.True(move.HasRepPrefix);
    }

    [Fact]
    public void Every_member_has_a_trampoline_of_its_own()
    {
        MachineCode code = MachineCode.Assemble();
        Assert.Equal(FamilyLayout.MemberCapacity, code.Trampolines.Distinct().Count());
        Assert.All(code.Trampolines, t => Assert.InRange(t, FamilyLayout.CodeBase, FamilyLayout.CodeBase + code.Bytes.Length - 1));
    }

    [Fact]
    public void The_fast_path_has_at_most_so_many_instructions()
    {
        const int most = 68;                                     // raise it only with a figure in hand
        MachineCode code = MachineCode.Assemble();
        Assert.InRange(Listing.Decode(code).Count(i => (long)i.IP >= code.Labels["call_any"] && (long)i.IP < code.Labels["nested_fs_load"]), 1, most);
    }
}
