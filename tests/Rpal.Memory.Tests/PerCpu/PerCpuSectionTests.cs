using System.Text.RegularExpressions;
using Rpal.Memory.PerCpu;

namespace Rpal.Memory.Tests.PerCpu;

/// <summary>Sections stopped at each instruction, threads the kernel does not know, and the CPU's number.</summary>
public sealed partial class PerCpuSectionTests
{
    [SectionsFact]
    public void Stopped_at_any_instruction_a_section_starts_again_and_takes_effect_once()
    {
        using PeerProcess peer = PeerProcess.Start("percpu-points");
        Assert.Equal(0, peer.WaitForExit(PeerProcess.Patience));
        Assert.Contains("points done", peer.ToString());
        MatchCollection said = Said().Matches(peer.ToString());
        Assert.Equal(["percpu_add", "percpu_push", "percpu_pop", "percpu_pop", "percpu_pop", "percpu_store", "percpu_store", "percpu_block_push", "percpu_block_push", "percpu_block_pop", "percpu_block_pop", "percpu_block_pop"], said.Select(m => m.Groups[1].Value));
        Assert.All(said, m => Assert.True(m.Groups[5].Value == "0", m.Value));
        Assert.All((int[])[0, 1, 2, 5, 7, 9], i => Assert.True(said[i].Groups[4].Value == said[i].Groups[2].Value, $"Not every instruction of the section was reached: {said[i].Value}"));
        Assert.All(said, m => Assert.True(int.Parse(m.Groups[4].Value) >= 5, m.Value));
    }

    [SectionsFact]
    public void A_thread_that_the_kernel_does_not_know_counts_too()
    {
        using PeerProcess peer = PeerProcess.Start("percpu-unregistered");
        Assert.Equal(0, peer.WaitForExit(PeerProcess.Patience));
        Assert.Contains("unregistered 0 sum 3 numbered True list True Taken 3 Empty", peer.ToString());
    }

    [Fact]
    public void The_number_is_that_of_the_CPU()
    {
        using PeerProcess peer = PeerProcess.Start("percpu-number");
        Assert.Equal(0, peer.WaitForExit(PeerProcess.Patience));
        Assert.Contains($"sections {PerCpuSections.AreUsed} wrong 0", peer.ToString());
    }

    [GeneratedRegex(@"(percpu_\w+) inside (\d+) hit (\d+) aborted (\d+) wrong (\d+)")]
    private static partial Regex Said();
}

/// <summary>A test of the sections themselves: skipped, with the reason, where a process has none.</summary>
internal sealed class SectionsFactAttribute : FactAttribute
{
    public SectionsFactAttribute() => Skip = PerCpuSections.AreUsed ? null : PerCpuSections.Missing;
}

/// <summary>The same with rows of data.</summary>
internal sealed class SectionsTheoryAttribute : TheoryAttribute
{
    public SectionsTheoryAttribute() => Skip = PerCpuSections.AreUsed ? null : PerCpuSections.Missing;
}
