namespace Rpal.Hosting.Tests;

/// <summary>What NativeBehaviourTests also checks, with nothing but a shell, so that it is covered where there is no gcc.</summary>
public sealed class ShellMemberTests : IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_daemon_outlives_its_member_and_does_not_hang_the_host()
    {
        // The member waits until the daemon is up: its program cannot be loaded any more when the host has gone.
        string up = _folder.NamedPipe("up"), never = _folder.NamedPipe("never");
        using var run = new HostRun(null, new MemberFile("member", "/bin/sh", "-c", $"setsid /bin/sh -c 'echo up >{up}; read x <{never}' & read x <{up}; echo $x"));
        await run.EndAsync(leavesNobody: false);
        Assert.Equal(0, run.ExitCode);
        Assert.Equal(["up"], run.Lines("member"));
        Assert.Single(run.Survivors());
    }

    [Theory]
    [InlineData(9)]
    [InlineData(15)]
    [InlineData(10)]
    public async Task A_member_that_kills_itself_is_reported_with_the_signal_and_the_other_goes_on(int signal)
    {
        string pipe = _folder.NamedPipe("release");
        using var run = new HostRun(null, new MemberFile("victim", "/bin/sh", "-c", $"kill -{signal} $$; echo not reached"), new MemberFile("other", "/bin/sh", "-c", $"read x <{pipe}; echo $x"));
        await run.EndedAsync("victim");
        await File.WriteAllTextAsync(pipe, "alive\n");
        await run.EndAsync();
        Assert.Equal((128 + signal, signal), (run.Ended("victim").ExitCode, run.Ended("victim").Signal));
        Assert.Empty(run.Lines("victim"));
        Assert.Equal(["alive"], run.Lines("other"));
        Assert.Equal(0, run.Ended("other").ExitCode);
    }
}
