using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Tests;

/// <summary>Native/probe.c checks from inside what only system calls can tell. Skipped without gcc.</summary>
public sealed class NativeBehaviourTests
{
    [NeedsGccTheory]
    [InlineData("maps", "every kind of mmap lands in the slot, and absurd arguments give the kernel's errors")]
    [InlineData("remaps", "mremap and realloc stay in the slot and never grow into the next")]
    [InlineData("beyond", "nothing is mapped, unmapped or moved outside the slot")]
    [InlineData("attach", "System V segments are attached in the slot")]
    [InlineData("break", "brk is denied and malloc works")]
    [InlineData("reuse", "slot space is used again, also in pieces")]
    [InlineData("day", "100,000 mappings come and go and stay low")]
    [InlineData("threads", "200 threads with stacks and memory in the slot")]
    [InlineData("signals", "signal actions are the member's own, bad arguments give the kernel's errors")]
    [InlineData("links", "/proc/self/exe is the member's program, bad arguments give the kernel's errors")]
    [InlineData("storm", "signals that interrupt mappings lose nothing")]
    [InlineData("library", "a library loaded later lies in the slot")]
    [InlineData("executes", "programs that a member executes run as if nothing were")]
    [InlineData("forks", "forked, vforked and spawned children work")]
    [InlineData("tables", "a thread with a descriptor table of its own maps the files of that table")]
    [InlineData("stack", "the main thread's stack grows as far as RLIMIT_STACK says")]
    public async Task A_native_member_finds_what_a_process_of_its_own_would(string scenario, string what)
    {
        string probe = Programs.Probe();
        using HostRun run = await HostRun.ToEndAsync(new MemberFile("probe", probe, scenario));
        Assert.True(run.ExitCode == 0 && run.Lines("probe")[^1] == "ok", $"{what}: {run.Transcript()}");
    }

    [NeedsGccTheory]
    [InlineData("maps")]
    [InlineData("threads")]
    [InlineData("forks")]
    public async Task A_static_position_independent_program_runs(string scenario)
    {
        string probe = Programs.Probe("-static-pie");
        using HostRun run = await HostRun.ToEndAsync(new MemberFile("probe", probe, scenario));
        Assert.True(run.ExitCode == 0 && run.Lines("probe")[^1] == "ok", run.Transcript());
    }

    [NeedsGccFact]
    public async Task A_process_that_shares_a_members_memory_maps_in_its_slot()
    {
        string probe = Programs.Probe();
        using HostRun run = await HostRun.ToEndAsync(new MemberFile("probe", probe, "sharers"));
        Assert.Equal(["sharer's mapping in the slot", "ok"], run.Lines("probe"));
    }

    [NeedsGccFact]
    public async Task A_child_of_a_child_that_shares_the_memory_lives_on_when_another_member_ends()
    {
        using var folder = new TestFolder();
        string probe = Programs.Probe(), pipe = folder.NamedPipe("end"), other = folder.NamedPipe("other");
        using var run = new HostRun(null, new MemberFile("probe", probe, "grandchild", pipe),
            new MemberFile("other", "/bin/sh", "-c", $"read x <{other}"));
        await run.LineAsync("probe", "ready");
        await File.WriteAllTextAsync(other, "end\n");
        await run.EndedAsync("other");
        run.Command("quiet one 1 200");                                                // its slot is given back
        await run.UntilAsync(e => e.Event == "one");
        await File.WriteAllTextAsync(pipe, "end\n").WaitAsync(TimeSpan.FromSeconds(30));
        await run.EndAsync();
        Assert.Equal(["ready", "ended with 7", "ok"], run.Lines("probe"));
    }

    [NeedsGccFact]
    public async Task A_member_that_writes_nonsense_where_a_stray_is_told_has_its_exit_code()
    {
        string word = $"{FamilyLayout.FamilyBase + FamilyHeader.StrayedPidOffset:x}";
        using HostRun run = await HostRun.ToEndAsync(new MemberFile("probe", Programs.Probe(), "store", word, $"{int.MinValue}", "3"));
        Assert.Equal(3, run.Ended("probe").ExitCode);
        Assert.Empty(run.Notices("probe"));
    }

    [NeedsGccFact]
    public async Task A_member_whose_main_thread_has_ended_goes_on()
    {
        string probe = Programs.Probe();
        using HostRun run = await HostRun.ToEndAsync(new MemberFile("probe", probe, "after-main"));
        Assert.Equal(["ok"], run.Lines("probe"));
        Assert.Equal(5, run.Ended("probe").ExitCode);
    }

    [NeedsGccFact]
    public async Task Members_killed_in_the_middle_of_a_mapping_end()
    {
        string probe = Programs.Probe();
        using var run = new HostRun(null, new MemberFile("a", probe, "spin-until-killed"), new MemberFile("b", probe, "spin-until-killed"));
        await run.LineAsync("a", "ready");
        await run.LineAsync("b", "ready");
        run.Signal(9);
        await run.EndAsync();
        Assert.Equal((137, 9), (run.Ended("a").ExitCode, run.Ended("a").Signal));
    }

    [NeedsGccFact]
    public async Task A_daemon_outlives_its_member_and_does_not_hang_the_host()
    {
        string probe = Programs.Probe();
        using var run = new HostRun(null, new MemberFile("probe", probe, "daemon"));
        await run.EndAsync(leavesNobody: false);
        Assert.Equal(0, run.ExitCode);
        Assert.Single(run.Survivors());
    }

    [NeedsGccFact]
    public async Task A_daemon_that_never_stops_writing_does_not_hang_the_host()
    {
        string probe = Programs.Probe();
        using var run = new HostRun(null, new MemberFile("probe", probe, "chatty-daemon"));
        await run.EndAsync(leavesNobody: false);
        Assert.Equal(0, run.ExitCode);
    }

    [NeedsGccFact]
    public async Task A_descriptor_opened_in_one_member_does_not_exist_in_the_other()
    {
        string probe = Programs.Probe();
        using var folder = new TestFolder();
        string pipe = folder.NamedPipe("release");
        using var run = new HostRun(null, new MemberFile("holder", probe, "hold-descriptor", "100", pipe),
            new MemberFile("other", "/bin/sh", "-c", $"exec 3>{pipe}; exec {probe} has-descriptor 100"));
        await run.EndAsync();
        Assert.Equal(["not open"], run.Lines("other"));
    }

    [NeedsGccFact]
    public async Task A_member_that_executes_another_program_keeps_its_process()
    {
        string probe = Programs.Probe();
        using HostRun run = await HostRun.ToEndAsync(new MemberFile("probe", probe, "exec", "/bin/sh", "-c", "echo $$; exit 44"));
        Assert.Equal([$"{run.Started("probe").Pid}"], run.Lines("probe"));
        Assert.Equal(44, run.Ended("probe").ExitCode);
    }

    [NeedsGccTheory]
    [InlineData("raise", "9", 9)]
    [InlineData("raise", "15", 15)]
    [InlineData("raise", "2", 2)]
    [InlineData("raise", "10", 10)]
    [InlineData("segv", "", 11)]
    [InlineData("abort", "", 6)]
    public async Task A_killed_member_is_reported_with_its_signal_and_the_other_goes_on(string how, string number, int signal)
    {
        string probe = Programs.Probe();
        using var folder = new TestFolder();
        string pipe = folder.NamedPipe("release");
        using var run = new HostRun(null, new MemberFile("victim", probe, how, number), new MemberFile("other", "/bin/sh", "-c", $"read x <{pipe}; echo $x"));
        await run.EndedAsync("victim");
        await File.WriteAllTextAsync(pipe, "alive\n");
        await run.EndAsync();
        Assert.Equal((128 + signal, signal), (run.Ended("victim").ExitCode, run.Ended("victim").Signal));
        Assert.Equal(["alive"], run.Lines("other"));
        Assert.Equal(0, run.Ended("other").ExitCode);
    }
}
