using System.Globalization;
using System.Text;

namespace Rpal.Hosting.Tests;

/// <summary>Ordinary programs as members: how they are started, what they learn, how they end.</summary>
public sealed class ProgramTests
{
    private const long SlotBytes = 1L << 39;

    [Fact]
    public async Task A_dotnet_assembly_runs()
    {
        using HostRun run = await HostRun.ToEndAsync(Programs.DotNet("app", "exit", "0"));
        Assert.True(run.ExitCode == 0, run.Transcript());
    }

    [Fact]
    public async Task A_launcher_runs_and_knows_its_path()
    {
        using HostRun run = await HostRun.ToEndAsync(new MemberFile("app", Programs.Member, "identity"));
        Assert.True(run.ExitCode == 0, run.Transcript());
        string[] lines = run.Lines("app");
        Assert.Equal($"pid {run.Started("app").Pid}", lines[0]);
        Assert.Equal([$"path {Programs.Member}", $"module {Programs.Member}", $"link {Programs.Member}", $"link-by-pid {Programs.Member}"], lines[1..5]);
        Assert.Equal($"base {Path.GetDirectoryName(Programs.Member)}/", lines[6]);
    }

    [Fact]
    public async Task A_program_started_through_a_symbolic_link_knows_its_real_path()
    {
        using var folder = new TestFolder();
        string link = Path.Combine(folder.Path, "link");
        File.CreateSymbolicLink(link, Programs.Member);
        using HostRun run = await HostRun.ToEndAsync(new MemberFile("app", link, "identity"));
        Assert.True(run.ExitCode == 0, run.Transcript());
        Assert.Contains($"link {Programs.Member}", run.Lines("app"));
        Assert.Contains($"link-by-pid {Programs.Member}", run.Lines("app"));
    }

    [Fact]
    public async Task An_assembly_run_by_dotnet_sees_dotnet_as_its_program()
    {
        using HostRun run = await HostRun.ToEndAsync(Programs.DotNet("app", "identity"));
        Assert.True(run.ExitCode == 0, run.Transcript());
        Assert.All(run.Lines("app")[1..5], l => Assert.EndsWith("/dotnet", l, StringComparison.Ordinal));
        Assert.Equal($"base {Path.GetDirectoryName(Programs.Member)}/", run.Lines("app")[6]);
    }

    [Fact]
    public async Task Six_members_of_three_kinds_run_at_once()
    {
        using HostRun run = await HostRun.ToEndAsync(Programs.DotNet("a", "gc"), Programs.DotNet("b", "gc"), new MemberFile("c", Programs.Member, "gc"),
            new MemberFile("d", "/bin/echo", "hello"), new MemberFile("e", "/bin/sh", "-c", "echo $((6*7))"), new MemberFile("f", "/bin/cat", "/proc/self/comm"));
        Assert.True(run.ExitCode == 0, run.Transcript());
        Assert.Equal(["hello"], run.Lines("d"));
        Assert.Equal(["42"], run.Lines("e"));
        Assert.Equal(["f"], run.Lines("f"));
        Assert.Equal(6, new[] { "a", "b", "c", "d", "e", "f" }.Select(m => run.Started(m).Pid).Distinct().Count());
        Assert.Equal(6, new[] { "a", "b", "c", "d", "e", "f" }.Select(m => run.Started(m).Slot).Distinct().Count());
    }

    [Fact]
    public async Task Forty_members_run_at_once_and_leave_nothing_in_the_host()
    {
        using HostRun run = await HostRun.ToEndAsync([.. Enumerable.Range(0, FamilyDefinition.MemberLimit).Select(i => new MemberFile($"m{i}", "/bin/sh", "-c", $"echo {i}; exit {i}"))]);
        for (int i = 0; i < FamilyDefinition.MemberLimit; i++)
        {
            Assert.Equal(i, run.Ended($"m{i}").ExitCode);
            Assert.Equal([$"{i}"], run.Lines($"m{i}"));
        }

        HostEvent before = run.Resources("before"), after = run.Resources("after");
        Assert.Equal(before.Descriptors, after.Descriptors);
        Assert.Empty(after.Children!);
        Assert.DoesNotContain(after.Threads!, t => t.StartsWith("broker", StringComparison.Ordinal) || t.StartsWith("exit ", StringComparison.Ordinal) || t.StartsWith("output", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Arguments_arrive_as_they_were_given()
    {
        string large = new string('a', 50_000) + new string('z', 50_000);
        string[] given = ["", "two words", "--", "größe 日本語 🙂", "tab\tnew\nline", large, ""];
        using HostRun run = await HostRun.ToEndAsync(Programs.DotNet("app", ["arguments", .. given]), Programs.DotNet("none", "arguments"));
        string[] expected = [$"count {given.Length}", .. given.Select(a => $"{a.Length}:{(a.Length <= 200 ? a : a[..10] + ".." + a[^10..])}").SelectMany(l => l.Split('\n'))];
        Assert.Equal(expected, run.Lines("app"));
        Assert.Equal(["count 0"], run.Lines("none"));
    }

    [Fact]
    public async Task A_shell_gets_its_arguments_and_none()
    {
        using HostRun run = await HostRun.ToEndAsync(new MemberFile("a", "/bin/sh", "-c", "echo $# \"<$1>\" ${#2}", "sh", "", new string('x', 100_000)), new MemberFile("b", "/bin/echo"));
        Assert.Equal(["2 <> 100000"], run.Lines("a"));
        Assert.Equal([""], run.Lines("b"));
    }

    [Fact]
    public async Task The_environment_is_the_hosts_with_additions_replacements_and_removals()
    {
        using var run = new HostRun(start =>
        {
            start.Environment["T_KEPT"] = "kept";
            start.Environment["T_REPLACED"] = "old";
            start.Environment["T_REMOVED"] = "gone";
        }, Programs.DotNet("app", "environment", "T_KEPT", "T_REPLACED", "T_REMOVED", "T_ADDED", "T_EMPTY") with
        {
            Environment = new() { ["T_REPLACED"] = "new=with=signs", ["T_REMOVED"] = null, ["T_ADDED"] = "größe", ["T_EMPTY"] = "" },
        }, new MemberFile("other", "/bin/sh", "-c", "echo ${T_ADDED-unset} $T_REMOVED"));
        await run.EndAsync();
        Assert.Equal(["T_KEPT=kept", "T_REPLACED=new=with=signs", "T_REMOVED unset", "T_ADDED=größe", "T_EMPTY="], run.Lines("app"));
        Assert.Equal(["unset gone"], run.Lines("other"));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(255)]
    public async Task Exit_codes_arrive(int code)
    {
        using HostRun run = await HostRun.ToEndAsync(Programs.DotNet("app", "exit", $"{code}"), new MemberFile("shell", "/bin/sh", "-c", $"exit {code}"));
        Assert.Equal((code, 0), (run.Ended("app").ExitCode, run.Ended("app").Signal));
        Assert.Equal((code, 0), (run.Ended("shell").ExitCode, run.Ended("shell").Signal));
        Assert.Equal(code, run.ExitCode);
    }

    [Theory]
    [InlineData("abort", "as the test asked")]
    [InlineData("unhandled", "InvalidOperationException")]
    [InlineData("overflow", "Stack overflow")]
    public async Task A_dotnet_member_that_aborts_says_why_and_the_other_goes_on(string how, string reason)
    {
        using var folder = new TestFolder();
        string pipe = folder.NamedPipe("release");
        using var run = new HostRun(null, Programs.DotNet("victim", how), Programs.DotNet("other", "hold", pipe));
        await run.LineAsync("other", "ready");
        await run.EndedAsync("victim");
        await File.WriteAllTextAsync(pipe, "");
        await run.EndAsync();
        Assert.Equal((134, 6), (run.Ended("victim").ExitCode, run.Ended("victim").Signal));
        Assert.Contains(run.Lines("victim", isError: true), l => l.Contains(reason, StringComparison.Ordinal));
        Assert.Equal(["ready", "released"], run.Lines("other"));
        Assert.Equal(0, run.Ended("other").ExitCode);
    }

    [Fact]
    public async Task Null_references_are_exceptions_in_every_member()
    {
        using HostRun run = await HostRun.ToEndAsync(Programs.DotNet("a", "null-reference"), Programs.DotNet("b", "null-reference"));
        Assert.True(run.ExitCode == 0, run.Transcript());
        Assert.Equal(["caught 100"], run.Lines("a"));
        Assert.Equal(["caught 100"], run.Lines("b"));
    }

    [Fact]
    public async Task A_signal_sent_by_the_host_reaches_the_members_own_handler()
    {
        using var run = new HostRun(null, Programs.DotNet("a", "graceful"), new MemberFile("b", "/bin/sh", "-c", "trap 'exit 8' TERM; echo ready; while :; do read x </dev/null; done"));
        await run.LineAsync("a", "ready");
        await run.LineAsync("b", "ready");
        run.Signal(15);
        await run.EndAsync();
        Assert.Equal(9, run.Ended("a").ExitCode);
        Assert.Equal(8, run.Ended("b").ExitCode);
    }

    [Fact]
    public async Task A_member_that_dies_before_its_main_is_reported()
    {
        using var folder = new TestFolder();
        folder.File("libc.so.6", "not a library");
        using HostRun run = await HostRun.ToEndAsync(new MemberFile("a", "/bin/echo", "x") { Environment = new() { ["LD_LIBRARY_PATH"] = folder.Path } }, new MemberFile("b", "/bin/echo", "fine"));
        Assert.Equal(127, run.Ended("a").ExitCode);
        Assert.Contains(run.Lines("a", isError: true), l => l.Contains("libc.so.6", StringComparison.Ordinal));
        Assert.Equal(["fine"], run.Lines("b"));
    }

    [Fact]
    public async Task The_working_directory_is_the_members_own()
    {
        using var folder = new TestFolder();
        using HostRun run = await HostRun.ToEndAsync(Programs.DotNet("a", "identity") with { WorkingDirectory = folder.Path }, new MemberFile("b", "/bin/pwd") { WorkingDirectory = "/usr" }, new MemberFile("c", "/bin/pwd"));
        Assert.Contains($"directory {folder.Path}", run.Lines("a"));
        Assert.Equal(["/usr"], run.Lines("b"));
        Assert.Equal([run.Folder], run.Lines("c"));
    }

    [Fact]
    public async Task A_member_inherits_no_descriptor_of_the_host()
    {
        using HostRun run = await HostRun.ToEndAsync(Programs.DotNet("before", "hold", "/dev/null"), new MemberFile("shell", "/bin/sh", "-c", "for f in /proc/$$/fd/*; do readlink $f; done | sort -u"));
        Assert.True(run.ExitCode == 0, run.Transcript());
        Assert.Equal("/dev/null", run.Lines("shell")[0]);
        Assert.All(run.Lines("shell")[1..], l => Assert.StartsWith("pipe:", l, StringComparison.Ordinal));
        Assert.InRange(run.Lines("shell").Length, 3, 4);         // its own pipeline may be one
    }

    [Fact]
    public async Task Scripts_and_scripts_of_scripts_run_with_the_kernels_arguments()
    {
        using var folder = new TestFolder();
        string inner = folder.File("inner", "#! /bin/sh -e\necho \"$0|$1|$2|$3\"\n");
        string outer = folder.File("outer", $"#!{inner} one argument\n");
        using HostRun run = await HostRun.ToEndAsync(new MemberFile("a", outer, "last"), new MemberFile("b", inner, "x", "y"), new MemberFile("c", "./inner", "z") { WorkingDirectory = folder.Path });
        Assert.Equal([$"{inner}|one argument|{outer}|last"], run.Lines("a"));
        Assert.Equal([$"{inner}|x|y|"], run.Lines("b"));
        Assert.EndsWith("inner|z||", run.Lines("c").Single(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Many_children_in_parallel_are_started_and_read()
    {
        using HostRun run = await HostRun.ToEndAsync(Programs.DotNet("a", "children", "40"), Programs.DotNet("b", "children", "40"));
        Assert.True(run.ExitCode == 0, run.Transcript());
        Assert.Equal(["wrong 0"], run.Lines("a"));
    }

    [Fact]
    public async Task A_shell_member_runs_pipelines_subshells_and_execs()
    {
        using HostRun run = await HostRun.ToEndAsync(
            new MemberFile("pipeline", "/bin/sh", "-c", "i=0; while [ $i -lt 1000 ]; do echo $i; i=$((i+1)); done | sort -n | tail -1; (exit 3); echo $?; x=$(echo sub | tr a-z A-Z); echo $x"),
            new MemberFile("exec", "/bin/sh", "-c", "echo $$; exec /bin/sh -c 'echo $$; exit 17'"));
        Assert.Equal(["999", "3", "SUB"], run.Lines("pipeline"));
        Assert.Equal([$"{run.Started("exec").Pid}", $"{run.Started("exec").Pid}"], run.Lines("exec"));
        Assert.Equal(17, run.Ended("exec").ExitCode);
    }

    [Fact]
    public async Task A_member_that_executes_dotnet_becomes_it()
    {
        using HostRun run = await HostRun.ToEndAsync(new MemberFile("a", "/bin/sh", "-c", $"exec {Programs.Member} identity"));
        Assert.True(run.ExitCode == 0, run.Transcript());
        Assert.Contains($"pid {run.Started("a").Pid}", run.Lines("a"));
        Assert.Contains($"path {Programs.Member}", run.Lines("a"));
    }

    [Fact]
    public async Task What_a_member_leaves_in_its_process_group_ends_with_it()
    {
        using HostRun run = await HostRun.ToEndAsync(new MemberFile("a", "/bin/sh", "-c", "sleep 1000 & sleep 1000 & exit 4"));
        Assert.Equal(4, run.ExitCode);
    }

    [Fact]
    public async Task All_memory_that_dotnet_members_map_lies_in_their_slots()
    {
        using HostRun run = await HostRun.ToEndAsync(Programs.DotNet("a", "memory"), Programs.DotNet("b", "memory"));
        Assert.True(run.ExitCode == 0, run.Transcript());
        long[] slots = [run.Started("a").Slot, run.Started("b").Slot];
        const long familyBase = 0x0F80_0000_0000, familyEnd = 0x1000_0000_0000;
        int inSlots = 0, membersFiles = 0, runtimesOutside = 0, runtimesInSlots = 0;
        foreach (string line in run.Lines("a"))
        {
            string[] columns = line.Split(' ', 6);
            string[] range = columns[0].Split('-');
            long start = long.Parse(range[0], NumberStyles.HexNumber), end = long.Parse(range[1], NumberStyles.HexNumber);
            string name = columns[5].Trim();
            bool isRuntime = name.EndsWith("/libcoreclr.so", StringComparison.Ordinal);
            if (slots.Any(s => start >= s && end <= s + SlotBytes))
            {
                inSlots++;
                membersFiles += IsMembers(name) ? 1 : 0;
                runtimesInSlots += isRuntime ? 1 : 0;
            }
            else if (IsMembers(name))
            {
                Assert.Fail($"a member's file is mapped outside its slot: {line}");
            }
            else
            {
                Assert.False(start < familyEnd && end > familyBase && (start < familyBase || end > familyEnd), line);
                runtimesOutside += isRuntime ? 1 : 0;
                Assert.False(start >= slots.Min() && start < slots.Max() + SlotBytes, $"crosses a slot's end: {line}");
            }
        }

        Assert.True(inSlots > 200, $"only {inSlots} mappings in the slots");
        Assert.True(membersFiles > 1, "the members' assemblies and what they map themselves were not found");
        Assert.Equal(run.Resources("before").Maps!.Count(l => l.EndsWith("/libcoreclr.so", StringComparison.Ordinal)), runtimesOutside);
        Assert.True(runtimesInSlots > 0);

        // Its assembly, and the file that it maps (LoaderMemory.Run): no other process of this test has any of that name.
        static bool IsMembers(string mapped) => Path.GetFileName(mapped).StartsWith("Rpal.LoaderMember", StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_native_member_maps_nothing_outside_its_slot()
    {
        using HostRun run = await HostRun.ToEndAsync(new MemberFile("a", "/bin/cat", "/proc/self/maps"), new MemberFile("b", "/bin/cat", "/proc/self/maps"));
        foreach (string member in new[] { "a", "b" })
        {
            long slot = run.Started(member).Slot;
            string[] libc = [.. run.Lines(member).Where(l => l.Contains("/cat", StringComparison.Ordinal))];
            Assert.NotEmpty(libc);
            Assert.Contains(libc, l => long.Parse(l.Split('-')[0], NumberStyles.HexNumber) is { } at && at >= slot && at < slot + SlotBytes);
            Assert.All(libc, l => Assert.InRange(long.Parse(l.Split('-')[0], NumberStyles.HexNumber), 0x1000_0000_0000, 0x23FF_FFFF_FFFF));
        }
    }

    [Fact]
    public async Task Two_hundred_threads_run_in_each_of_two_dotnet_members()
    {
        using HostRun run = await HostRun.ToEndAsync(Programs.DotNet("a", "threads", "200"), Programs.DotNet("b", "threads", "200"));
        Assert.True(run.ExitCode == 0, run.Transcript());
    }

    [Fact]
    public async Task The_server_collector_works_in_a_member()
    {
        using HostRun run = await HostRun.ToEndAsync(Programs.DotNet("a", "gc") with { Environment = new() { ["DOTNET_gcServer"] = "1" } }, Programs.DotNet("b", "gc"));
        Assert.True(run.ExitCode == 0, run.Transcript());
        Assert.Equal(["server True"], run.Lines("a"));
        Assert.Equal(["server False"], run.Lines("b"));
    }

    [Fact]
    public async Task A_killed_host_takes_its_members_with_it()
    {
        using var folder = new TestFolder();
        string pipe = folder.NamedPipe("never");
        using var run = new HostRun(null, Programs.DotNet("a", "hold", pipe), new MemberFile("b", "/bin/sh", "-c", $"echo ready; read x <{pipe}"));
        await run.LineAsync("a", "ready");
        await run.LineAsync("b", "ready");
        run.KillHost();
        await run.EndAsync();
    }

    [Fact]
    public async Task A_host_that_was_started_with_SIGCHLD_ignored_still_learns_exit_codes()
    {
        using var run = new HostRun(start => Wrap(start, "trap '' CHLD; exec \"$0\" \"$@\""), new MemberFile("a", "/bin/sh", "-c", "exit 23"));
        await run.EndAsync();
        Assert.Equal(23, run.Ended("a").ExitCode);
    }

    [Fact]
    public async Task A_host_without_standard_descriptors_gives_its_members_theirs()
    {
        using var folder = new TestFolder();
        string events = Path.Combine(folder.Path, "events");
        using var run = new HostRun(start =>
        {
            start.ArgumentList.Add(events);
            Wrap(start, "exec \"$0\" \"$@\" <&- >&- 2>&-");
        }, new MemberFile("a", "/bin/sh", "-c", "echo out; echo err >&2; readlink /proc/$$/fd/0; exit 6"));
        await run.EndAsync();
        string[] lines = await File.ReadAllLinesAsync(events);
        Assert.Contains(lines, l => l.Contains("\"IsError\":false,\"Text\":\"out\"", StringComparison.Ordinal));
        Assert.Contains(lines, l => l.Contains("\"IsError\":true,\"Text\":\"err\"", StringComparison.Ordinal));
        Assert.Contains(lines, l => l.Contains("\"Text\":\"/dev/null\"", StringComparison.Ordinal));
        Assert.Equal(6, run.ExitCode);
    }

    [Fact]
    public void A_line_that_fills_the_buffer_is_followed_by_no_empty_line()
    {
        List<string> lines = [];
        var buffer = new OutputPump.LineBuffer(false, (_, line) => lines.Add(Encoding.UTF8.GetString(line)));
        string full = new('x', FamilyHost.LineBytesLimit);
        buffer.Add(Encoding.UTF8.GetBytes(full));
        buffer.Add("\n\nnext\n"u8);
        buffer.Add(Encoding.UTF8.GetBytes(full + "y\nrest"));
        buffer.Flush();
        Assert.Equal([full, "", "next", full, "y", "rest"], lines);
    }

    private static void Wrap(System.Diagnostics.ProcessStartInfo start, string script)
    {
        string[] words = ["-c", script, start.FileName, .. start.ArgumentList];
        start.FileName = "/bin/sh";
        start.ArgumentList.Clear();
        foreach (string word in words)
        {
            start.ArgumentList.Add(word);
        }
    }
}
