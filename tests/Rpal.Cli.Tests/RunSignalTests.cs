using Rpal.Linux;

namespace Rpal.Cli.Tests;

public sealed class RunSignalTests
{
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
