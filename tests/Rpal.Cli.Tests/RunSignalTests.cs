using Rpal.Linux;

namespace Rpal.Cli.Tests;

public sealed class RunSignalTests
{
    /// <summary>Prints which signals a member blocks and ignores: none.</summary>
    private const string Signals = "while read what mask; do case $what in SigBlk:|SigIgn:) echo $what $mask;; esac; "
        + "done < /proc/$$/status";
    private const string NoSignals = "SigBlk: 0000000000000000\nsh  | SigIgn: 0000000000000000";

    private const string Stubborn = "trap '' TERM; trap 'echo interrupted' INT; echo ready; while :; do sleep 0.05; done";

    [Theory]
    [InlineData(Signal.SIGTERM, "SIGTERM", "SIGTERM to rpal")]
    [InlineData(Signal.SIGINT, "SIGINT", "the operator's Ctrl+C (SIGINT)")]
    public void A_stop_is_forwarded_and_its_signal_is_the_exit_code(int signal, string name, string by)
    {
        using var rpal = new RpalProcess("run", "/bin/sleep", "100");
        rpal.AwaitError("sleep  started");
        rpal.Send(signal);
        RpalProcess.Result r = rpal.End();
        Assert.Equal(128 + signal, r.ExitCode);
        Assert.Contains($"killed by {name}", r.ErrorLines[^1], StringComparison.Ordinal);
        Assert.Contains($"rpal: sleep  stopped by {by}", r.ErrorLines);
    }

    [Fact]
    public void A_member_that_ends_well_when_stopped_is_no_failure()
    {
        using var rpal = new RpalProcess("run", "/bin/sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done");
        rpal.AwaitOutput("ready");
        rpal.Send(Signal.SIGTERM);
        Assert.Equal(0, rpal.End().ExitCode);
    }

    [Fact]
    public void A_member_that_ignores_the_stop_is_killed_when_the_grace_is_over()
    {
        using var rpal = new RpalProcess("run", "--grace", "0.1", "/bin/sh", "-c", Stubborn);
        rpal.AwaitOutput("ready");
        rpal.Send(Signal.SIGTERM);
        RpalProcess.Result r = rpal.End();
        Assert.Equal(128 + Signal.SIGKILL, r.ExitCode);
        Assert.Contains("killed by SIGKILL", r.ErrorLines[^1], StringComparison.Ordinal);
        Assert.Contains("rpal: sh  killed by rpal: it has not ended within 0.1 s", r.ErrorLines);
    }

    [Fact]
    public void A_second_stop_kills()
    {
        using var rpal = new RpalProcess("run", "--grace", "10000", "/bin/sh", "-c", Stubborn);
        rpal.AwaitOutput("ready");
        rpal.Send(Signal.SIGINT);
        rpal.AwaitOutput("interrupted");
        rpal.Send(Signal.SIGTERM);
        RpalProcess.Result r = rpal.End();
        Assert.Equal(128 + Signal.SIGKILL, r.ExitCode);
        Assert.Contains("rpal: sh  killed by a further SIGTERM to rpal", r.ErrorLines);
    }

    /// <summary>It signals its child and then its group, so rpal gets two.</summary>
    [Fact]
    public void A_stop_that_timeout_sends_twice_leaves_members_their_grace()
    {
        const string cleans = "trap 'echo cleaning; sleep 1; echo clean; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
        ChildOutput run = Child.Run(RunningFamily.Patience, "timeout", "3", Path.Combine(AppContext.BaseDirectory, "Rpal.Cli"), "run", "sh", "-c", cleans);
        Assert.Contains("clean\n", run.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("further", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void The_same_stop_again_kills_once_it_cannot_be_the_same_request()
    {
        using var rpal = new RpalProcess("run", "--grace", "10000", "/bin/sh", "-c", Stubborn);
        rpal.AwaitOutput("ready");
        rpal.Send(Signal.SIGTERM);
        rpal.AwaitError("stopped by SIGTERM");
        Thread.Sleep(2 * StopPolicy.SameRequestMs);              // what is tested
        rpal.Send(Signal.SIGTERM);
        Assert.Contains("rpal: sh  killed by a further SIGTERM to rpal", rpal.End().ErrorLines);
    }

    /// <summary>As nohup(1) and a script's background job start it.</summary>
    [Theory]
    [InlineData(Signal.SIGHUP, "HUP")]
    [InlineData(Signal.SIGINT, "INT")]
    [InlineData(Signal.SIGQUIT, "QUIT")]
    public void A_signal_that_rpal_was_started_to_ignore_is_not_passed_on_and_members_may_handle_it(int signal, string name)
    {
        using var rpal = RpalProcess.AfterShell($"trap '' {name}", "run", "/bin/sh", "-c", $"trap 'echo seen; exit 7' {name}; {Signals}; "
            + "while :; do sleep 0.05; done");
        rpal.AwaitOutput(NoSignals);
        rpal.Send(signal);                                       // discarded by the kernel at once
        rpal.Send(Signal.SIGTERM);
        RpalProcess.Result r = rpal.End();
        Assert.Equal(128 + Signal.SIGTERM, r.ExitCode);
        Assert.DoesNotContain("seen", r.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_member_handles_a_signal_that_rpal_was_started_to_ignore()
    {
        using var rpal = RpalProcess.AfterShell("trap '' HUP", "run", "/bin/sh", "-c", "trap 'exit 7' HUP; kill -HUP $$; echo not reached");
        Assert.Equal(7, rpal.End().ExitCode);
    }

    [Fact]
    public void A_stop_ends_a_rpal_that_was_started_with_SIGTERM_ignored()
    {
        using var rpal = RpalProcess.AfterShell("trap '' TERM", "run", "/bin/sh", "-c", $"{Signals}; exec sleep 100");
        rpal.AwaitOutput(NoSignals);
        rpal.Send(Signal.SIGTERM);
        Assert.Equal(128 + Signal.SIGTERM, rpal.End().ExitCode);
    }

    /// <summary>Its benchmarks are processes, and those of their own.</summary>
    [Fact]
    public void A_rpal_that_was_started_with_SIGCHLD_ignored_learns_of_the_end_of_what_it_starts()
    {
        using var rpal = RpalProcess.AfterShell("trap '' CHLD", "torture", "--seconds", "1", "--per-point", "1", "--point",
            "handler_enter", "--json");
        Assert.True(rpal.End().ExitCode == 0);
    }

    [Theory]
    [InlineData(Signal.SIGTERM)]
    [InlineData(Signal.SIGINT)]
    public void A_stop_ends_a_rpal_that_was_started_with_all_signals_blocked(int signal)
    {
        using var rpal = RpalProcess.Blocking(ulong.MaxValue, "run", "/bin/sh", "-c", $"{Signals}; exec sleep 100");
        rpal.AwaitOutput(NoSignals);
        rpal.Send(signal);
        Assert.Equal(128 + signal, rpal.End().ExitCode);
    }

    [Theory]
    [InlineData(Signal.SIGHUP, "HUP")]
    [InlineData(Signal.SIGQUIT, "QUIT")]
    public void Other_signals_are_only_forwarded(int signal, string name)
    {
        using var rpal = new RpalProcess("run", "--grace", "0", "/bin/sh", "-c", $"trap 'echo seen' {name}; trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done");
        rpal.AwaitOutput("ready");
        rpal.Send(signal);
        rpal.AwaitOutput("seen");                                // no grace has begun: it would have killed at once
        rpal.Send(signal);
        rpal.AwaitOutput("seen\nsh  | seen");
        rpal.Send(Signal.SIGKILL);                               // members end with their host
        _ = rpal.End();
    }
}
