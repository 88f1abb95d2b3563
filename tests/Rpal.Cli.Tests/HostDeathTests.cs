using Rpal.Linux;

namespace Rpal.Cli.Tests;

/// <summary>What becomes of members when rpal itself is killed.</summary>
public sealed class HostDeathTests : IDisposable
{
    private readonly RunningFamily _family = new();

    public void Dispose() => _family.Dispose();

    [Fact]
    public void Members_are_told_and_end_cleanly_with_work_that_needs_memory_and_threads()
    {
        string proof = Path.Combine(_family.Folder, "proof");
        RpalProcess host = _family.Run(RunningFamily.Program("Rpal.LoaderMember"), "cleanup", proof, "--", "sleep", "1000");
        host.AwaitOutput("ready");
        int cleaner = RunningFamily.PidOf(host, "Rpal.LoaderMember"), sleeper = RunningFamily.PidOf(host, "sleep            ");
        RunningFamily.Kill(host.Pid);
        RpalProcess.Result r = host.End();                       // the keeper holds its output until the last has ended
        Assert.True(File.Exists(proof), r.Error);
        Assert.Equal("2016 8", File.ReadAllText(proof));
        Assert.Contains("Rpal.LoaderMember  | cleaned", r.OutputLines);
        Gone(cleaner, sleeper);
    }

    [Fact]
    public void A_host_killed_in_the_middle_of_its_answers_leaves_no_thread_waiting_for_one()
    {
        string proof = Path.Combine(_family.Folder, "proof");
        RpalProcess host = _family.Run(RunningFamily.Program("Rpal.LoaderMember"), "cleanup", proof, "2");
        host.AwaitOutput("ready");
        int pid = RunningFamily.PidOf(host, "Rpal.LoaderMember");
        RunningFamily.Kill(host.Pid);
        RpalProcess.Result r = host.End();
        Assert.True(File.Exists(proof), r.Output + r.Error);
        Gone(pid);
    }

    [Fact]
    public void Members_that_call_each_other_are_gone_at_the_end_of_their_grace_at_the_latest()
    {
        string member = RunningFamily.Program("Rpal.TestMember");
        RpalProcess host = _family.Run("--grace", "3", member, "serve-version", "1", "--", member, "call-versions", "2");
        host.AwaitOutput("answered 1");
        int service = RunningFamily.PidOf(host, "Rpal.TestMember-1"), caller = RunningFamily.PidOf(host, "Rpal.TestMember-2");
        RunningFamily.Kill(host.Pid);
        _ = host.End();
        Gone(service, caller);
    }

    [Fact]
    public void A_member_that_does_not_end_is_killed_after_its_grace()
    {
        Assert.Contains("sh  | told", OrphanedShell("--grace", "0.3", "sh", "-c", "trap 'echo told' TERM; sleep 1000 & echo ready; while :; do wait; done"));
    }

    [Fact]
    public void A_members_handler_for_SIGTERM_runs_once()
    {
        RpalProcess host = _family.Run("--grace", "1", "sh", "-c", "trap 'echo told' TERM; echo ready; while :; do read x </dev/null; done", "--", "sleep", "1000");
        host.AwaitOutput("ready");
        int pid = RunningFamily.PidOf(host, "sh   "), sleeper = RunningFamily.PidOf(host, "sleep");
        RunningFamily.Kill(host.Pid);
        Assert.Single(host.End().OutputLines, l => l.EndsWith("| told", StringComparison.Ordinal));
        Gone(pid, sleeper);
    }

    [Fact]
    public void On_request_members_are_killed_with_their_host()
    {
        Assert.DoesNotContain("sh  | told", OrphanedShell("--on-host-exit", "kill", "sh", "-c", "trap 'echo told' TERM; echo ready; while :; do read x </dev/null; done"));
    }

    [Fact]
    public void On_request_members_go_on_without_their_host_until_one_of_them_ends()
    {
        string proof = Path.Combine(_family.Folder, "proof");
        RpalProcess host = _family.Run("--on-host-exit", "continue", RunningFamily.Program("Rpal.LoaderMember"), "cleanup", proof, "--", "sleep", "1000");
        host.AwaitOutput("ready");
        int cleaner = RunningFamily.PidOf(host, "Rpal.LoaderMember"), sleeper = RunningFamily.PidOf(host, "sleep            ");
        RunningFamily.Kill(host.Pid);
        _family.Comes(() => !RunningFamily.IsAlive(host.Pid));
        Assert.True(RunningFamily.IsAlive(cleaner) && RunningFamily.IsAlive(sleeper));
        Assert.Equal(0, Sys.Kill(cleaner, Signal.SIGTERM));
        RpalProcess.Result r = host.End();
        Assert.Equal("2016 8", File.ReadAllText(proof));
        Gone(cleaner, sleeper);
    }

    [Fact]
    public void A_killed_keeper_is_reported_and_another_looks_after_the_members()
    {
        RpalProcess host = _family.Run("sh", "-c", "trap 'echo told; exit 0' TERM; echo ready; while :; do read x </dev/null; done",
            "--", "sh", "-c", "exec >&- 2>&-; exec sleep 1000");
        host.AwaitOutput("ready");
        int shell = RunningFamily.PidOf(host, "sh-1"), sleeper = RunningFamily.PidOf(host, "sh-2");
        RunningFamily.Kill(KeeperOf(host.Pid));
        host.AwaitError("The keeper has ended (killed by SIGKILL)");
        host.AwaitError("Another keeper looks after the members now.");
        Assert.Equal("running", _family.Member("sh-1").GetProperty("state").GetString());
        RunningFamily.Kill(host.Pid);
        Assert.Contains("sh-1  | told", host.End().OutputLines);
        Gone(shell, sleeper);
    }

    [Fact]
    public void A_keeper_that_cannot_take_a_member_on_is_not_believed_to_have_it()
    {
        const string fewer = "--nofile=20";                      // below every number in use
        RpalProcess host = _family.Run("sh", "-c", "echo ready; exec sleep 1000", "--", "sleep", "1000");
        host.AwaitOutput("ready");
        int keeper = KeeperOf(host.Pid);
        _family.Comes(() => Directory.GetFileSystemEntries($"/proc/{keeper}/fd").Length > 36);
        Assert.Equal(0, Child.Run(RunningFamily.Patience, "prlimit", fewer, $"--pid={keeper}").ExitCode);
        Assert.Equal(0, _family.Ask("restart", "sleep").ExitCode);
        Assert.Contains("RLIMIT_NOFILE", host.AwaitErrorLine("The keeper could not take it on"), StringComparison.Ordinal);
        Assert.Equal(0, _family.Ask("stop").ExitCode);
        _ = host.End();
    }

    [Fact]
    public void A_stopped_keeper_keeps_no_family_from_ending_or_from_starting_members()
    {
        RpalProcess host = _family.Run("sh", "-c", "echo ready; exec sleep 1000", "--", "sleep", "1000");
        host.AwaitOutput("ready");
        int keeper = KeeperOf(host.Pid), sleeper = RunningFamily.PidOf(host, "sleep");
        Assert.Equal(0, Sys.Kill(keeper, Signal.SIGSTOP));
        Assert.Equal(0, _family.Ask("restart", "sleep").ExitCode);
        _family.Comes(() => _family.Member("sleep").GetProperty("state").GetString() == "running" && !RunningFamily.IsAlive(sleeper));
        Assert.Equal(0, _family.Ask("stop").ExitCode);
        _ = host.End();
        Gone(keeper);
    }

    [NeedsPidsGroupFact]
    public void At_the_limit_of_processes_host_and_keeper_live_and_what_failed_is_started_when_there_are_some_again()
    {
        RpalProcess host = _family.Run("--restart", "always", "sh", "-c", "echo ready; exec sleep 1000", "--", "sleep", "1000");
        host.AwaitOutput("ready");
        int keeper = KeeperOf(host.Pid), shell = RunningFamily.PidOf(host, "sh   "), sleeper = RunningFamily.PidOf(host, "sleep");
        using var group = new PidsGroup();
        foreach (int pid in (int[])[host.Pid, keeper, shell, sleeper])
        {
            group.Add(pid);
        }

        group.Limit("1");
        RunningFamily.Kill(shell);
        RunningFamily.Kill(sleeper);
        string refused = host.AwaitErrorLine("attempt 4");
        Assert.Contains("pids.max is 1", refused, StringComparison.Ordinal);
        Assert.True(RunningFamily.IsAlive(keeper));
        Assert.Equal(0, _family.Ask("ps").ExitCode);
        RunningFamily.Kill(keeper);
        host.AwaitError("The keeper has ended (killed by SIGKILL)");
        group.Limit("max");
        host.AwaitError("Another keeper looks after the members now.");
        _family.Comes(() => _family.Ps().GetProperty("members").EnumerateArray().All(m => m.GetProperty("state").GetString() is "running" or "another program"));
        Assert.Equal(0, _family.Ask("stop").ExitCode);
        _ = host.End();
    }

    [NeedsMountsFact]
    public void As_process_1_it_learns_exit_codes_and_reaps_orphans()
    {
        string rpal = Path.Combine(AppContext.BaseDirectory, "Rpal.Cli");
        const string leavesOrphan = "setsid sh -c 'sleep 0.2; setsid sleep 0.2 & exit 0' & sleep 1.5; "
            + "grep -l '^State:.Z' /proc/[0-9]*/status && exit 9; exit 3";
        ChildOutput run = Child.Run(RunningFamily.Patience, "unshare",
            [.. NeedsMountsFactAttribute.Unshare, "--pid", "--fork", "--mount-proc", rpal, "run", "sh", "-c", leavesOrphan]);
        Assert.Contains("exit code 3", run.Error, StringComparison.Ordinal);
        Assert.Equal(3, run.ExitCode);
    }

    /// <summary>Kills the host of a shell that has said "ready", and waits for the shell's end.</summary>
    /// <returns>The family's output.</returns>
    private string[] OrphanedShell(params string[] arguments)
    {
        RpalProcess host = _family.Run(arguments);
        host.AwaitOutput("ready");
        int pid = RunningFamily.PidOf(host, "sh");
        RunningFamily.Kill(host.Pid);
        string[] lines = host.End().OutputLines;
        Gone(pid);
        return lines;
    }

    private static int KeeperOf(int host) => Directory.GetDirectories("/proc").Select(Path.GetFileName).Where(n => int.TryParse(n, out _)).Select(int.Parse!).First(pid =>
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/stat").Split(") ")[1].Split(' ')[1] == $"{host}" && File.ReadAllText($"/proc/{pid}/cmdline").Contains("keeper-role", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false;
        }
    });

    private void Gone(params int[] pids) => _family.Comes(() => !pids.Any(RunningFamily.IsAlive));
}
