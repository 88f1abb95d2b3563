namespace Rpal.Hosting.Tests;

/// <summary>What a member can run out of: it gets an error, the operator one line, and the others nothing of it.</summary>
public sealed class LimitTests : IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [NeedsGccFact]
    public async Task A_member_whose_slot_is_full_gets_ENOMEM_and_the_operator_one_line()
    {
        using HostRun run = await HostRun.ToEndAsync(new MemberFile("greedy", Programs.Probe(), "fill"), Programs.DotNet("other", "gc"));
        Assert.True(run.ExitCode == 0, run.Transcript());
        string notice = Assert.Single(run.Notices("greedy"));
        Assert.StartsWith($"mmap of {16L << 30} bytes fails (ENOMEM): no room in its slot of 512 GiB", notice, StringComparison.Ordinal);
        Assert.Empty(run.Notices("other"));
    }

    [NeedsGccFact]
    public async Task Members_with_few_mappings_go_on_when_one_has_used_up_the_familys()
    {
        string release = _folder.NamedPipe("release"), end = _folder.NamedPipe("end");
        using var run = new HostRun(null, new MemberFile("greedy", Programs.Probe(), "scatter", end), Programs.DotNet("other", "hold-gc", release));
        await run.LineAsync("other", "ready");
        await run.LineAsync("greedy", "scattered");
        await File.WriteAllTextAsync(release, "");
        await run.EndedAsync("other");
        await File.WriteAllTextAsync(end, "");
        await run.EndAsync();
        Assert.True(run.ExitCode == 0, run.Transcript());
        string notice = Assert.Single(run.Notices("greedy"));
        Assert.Contains("vm.max_map_count", notice, StringComparison.Ordinal);
        Assert.Contains(File.ReadAllText("/proc/sys/vm/max_map_count").Trim(), notice, StringComparison.Ordinal);
        Assert.Empty(run.Notices("other"));
    }

    [NeedsGccFact]
    public async Task A_fixed_address_outside_the_slot_is_told_once()
    {
        using HostRun run = await HostRun.ToEndAsync(new MemberFile("probe", Programs.Probe(), "beyond"));
        Assert.Contains("outside its slot", Assert.Single(run.Notices("probe")), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("f8000001000", "family's region")]               // the header
    [InlineData("f8000100000", "family's region")]               // the machine code
    [InlineData("f8100000000", "family's region")]               // the first member's area
    public async Task Memory_of_the_hosts_own_where_the_family_belongs_is_refused_with_its_address(string address, string what)
    {
        using var run = new HostRun(start => start.Environment["RPAL_TEST_OCCUPY"] = address, new MemberFile("a", "/bin/true"));
        await run.EndAsync();
        Assert.Equal(125, run.ExitCode);
        Assert.Contains(what, run.Error, StringComparison.Ordinal);
        Assert.Contains($"({address}-", run.Error, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', run.Error!);
        Assert.Contains(run.Resources("after").Maps!, l => l.StartsWith(address, StringComparison.Ordinal));     // and is still there
    }

    [Theory]
    [InlineData("10000000f000")]
    [InlineData("107ffffff000")]
    public async Task A_slot_where_something_lies_already_is_left_out_and_the_member_gets_another(string address)
    {
        using var run = new HostRun(start => start.Environment["RPAL_TEST_OCCUPY"] = address, new MemberFile("a", "/bin/true"));
        await run.EndAsync();
        Assert.Equal(0, run.ExitCode);
        Assert.NotEqual(0x100000000000, run.Started("a").Slot);
        string notice = Assert.Single(run.Notices("a"));
        Assert.StartsWith($"slot 0x100000000000 is not empty ({address}-", notice, StringComparison.Ordinal);
        Assert.EndsWith("39 slots of 40 are left.", notice, StringComparison.Ordinal);
        Assert.Contains(run.Resources("after").Maps!, l => l.StartsWith(address, StringComparison.Ordinal));     // and is still there
    }

    [Fact]
    public void A_family_of_41_is_refused()
    {
        string members = string.Join(',', Enumerable.Range(0, FamilyDefinition.MemberLimit + 1).Select(i => $$"""{ "name": "m{{i}}", "command": "true" }"""));
        string file = _folder.File("family.json", $$"""{ "members": [ {{members}} ] }""", executable: false);
        Assert.Equal($"{file}: 41 members; a family has 1 to 40.", Assert.Throws<FormatException>(() => FamilyDefinition.Load(file)).Message);
    }
}
