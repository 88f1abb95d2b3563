using System.Globalization;
using System.Text.RegularExpressions;
using Rpal.Hosting.Loading;

namespace Rpal.Hosting.Tests.Loading;

/// <summary>docs/address-space.md against the kernel's list of system calls and the filter: each call has its row, each row its
/// rule.</summary>
public sealed partial class AddressSpacePageTests
{
    private static readonly string[] s_page = File.ReadAllLines(Path.Combine(AppContext.BaseDirectory, "address-space.md"));

    [Fact]
    public void Every_system_call_of_the_kernel_is_there_once()
    {
        string[] kernels = File.ReadAllLines(Path.Combine(AppContext.BaseDirectory, "Loading", "syscalls-6.18.txt"));
        string[] documented = [.. Section("Calls that touch the address space").Concat(Section("On the process, thread or file only"))
            .SelectMany(Names).Select(n => $"{n.Number} {n.Name}")];
        Assert.Equal(383, kernels.Length);
        Assert.Equal(kernels.Order(StringComparer.Ordinal), documented.Order(StringComparer.Ordinal));
    }

    [NeedsGccFact]
    public void The_kernels_list_has_the_numbers_of_the_headers_here()
    {
        const string header = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";
        HashSet<string> kernels = [.. File.ReadAllLines(Path.Combine(AppContext.BaseDirectory, "Loading", "syscalls-6.18.txt"))];
        const int last = 469;                                    // newer headers have more
        Match[] defined = [.. Defines().Matches(File.ReadAllText(header)).Where(m => int.Parse(m.Groups[2].Value) <= last)];
        Assert.True(defined.Length > 300, $"{defined.Length} numbers in {header}");
        Assert.All(defined, m => Assert.Contains($"{m.Groups[2].Value} {m.Groups[1].Value}", kernels));
    }

    [Fact]
    public void Each_row_that_says_so_has_a_rule_in_the_filter_and_each_rule_a_row()
    {
        Assert.Equal(SlotFilter.Numbers.Order(), Looked("Calls that touch the address space").Order());
        Assert.Equal(SlotFilter.PrctlOptions.Select(o => (long)o).Order(), Looked("Options of prctl").Order());
        Assert.Equal(SlotFilter.ArchPrctlOptions.Select(o => (long)o).Order(), Looked("Options of arch_prctl").Order());
    }

    [Fact]
    public void Every_row_says_one_of_three_words()
    {
        string[] rows = [.. new[] { "Calls that touch the address space", "Options of prctl", "Options of arch_prctl" }.SelectMany(Rows)];
        Assert.True(rows.Length > 50, $"{rows.Length} rows");
        Assert.All(rows, r => Assert.Contains(Word(r), (string[])["passes", "answers", "refuses"]));
    }

    private static IEnumerable<long> Looked(string section) => Rows(section).Where(r => Word(r) is "answers" or "refuses")
        .SelectMany(Names).Select(n => n.Number);

    private static string Word(string row) => row.Split('|')[3].Trim();

    private static IEnumerable<string> Rows(string section) => Section(section).Where(l => l.StartsWith("| `", StringComparison.Ordinal));

    /// <summary>The lines of a section; of a table's row the first column only counts for <see cref="Names"/>.</summary>
    private static IEnumerable<string> Section(string title) =>
        s_page.SkipWhile(l => l != $"## {title}").Skip(1).TakeWhile(l => !l.StartsWith("## ", StringComparison.Ordinal));

    private static IEnumerable<(string Name, long Number)> Names(string line) =>
        Named().Matches(line.StartsWith('|') ? line.Split('|')[1] : line).Select(m => (m.Groups[1].Value, Number(m.Groups[2].Value)));

    private static long Number(string text) => text.StartsWith("0x", StringComparison.Ordinal)
        ? long.Parse(text.AsSpan(2), NumberStyles.HexNumber) : long.Parse(text);

    [GeneratedRegex(@"`(\w+)` (0x[0-9a-f]+|\d+)")]
    private static partial Regex Named();

    [GeneratedRegex(@"#define __NR_(\w+) (\d+)")]
    private static partial Regex Defines();
}
