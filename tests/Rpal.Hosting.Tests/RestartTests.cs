namespace Rpal.Hosting.Tests;

/// <summary>Whether a member that has ended is started again, when, and how often.</summary>
public sealed class RestartTests : IDisposable
{
    private const string CountStarts = "echo x >>starts; ";

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_member_that_fails_is_started_again_after_growing_delays_until_it_does_not()
    {
        using HostRun run = await HostRun.ToEndAsync(Shell("a", CountStarts + "test $(wc -l <starts) -gt 3 || exit 3") with { Restart = "on-failure" });
        Assert.True(run.ExitCode == 0, run.Transcript());
        Assert.Equal([(1, 0.1), (2, 0.2), (3, 0.4)], run.Events("restarting", "a").Select(e => (e.Attempt, e.DelaySeconds)));
        Assert.All(run.Events("restarting", "a"), e => Assert.Equal("exit code 3", e.Text));
        Assert.Equal(4, run.Events("started", "a").Select(e => e.Slot).Distinct().Count());
    }

    [Fact]
    public async Task A_member_that_keeps_failing_is_given_up_at_its_limit_and_its_exit_code_is_the_hosts()
    {
        using HostRun run = await HostRun.ToEndAsync(Shell("a", "exit 7") with { Restart = "on-failure", RestartLimit = 2 }, Shell("b", "exit 0"));
        Assert.Equal(7, run.ExitCode);
        Assert.Equal(3, run.Events("started", "a").Length);
        Assert.Contains("2 times in a row", Assert.Single(run.Events("givenUp", "a")).Text);
    }

    [Fact]
    public async Task A_killed_member_has_failed()
    {
        using HostRun run = await HostRun.ToEndAsync(Shell("a", CountStarts + "test $(wc -l <starts) -gt 1 || kill -9 $$") with { Restart = "on-failure" });
        Assert.True(run.ExitCode == 0, run.Transcript());
        Assert.Equal(2, run.Events("started", "a").Length);
    }

    [Fact]
    public async Task A_member_that_ends_well_is_started_again_only_if_always()
    {
        using HostRun run = await HostRun.ToEndAsync(Shell("always", "exit 0") with { Restart = "always", RestartLimit = 1 }, Shell("on-failure", "exit 0") with { Restart = "on-failure" }, Shell("no", "exit 0"));
        Assert.Equal(0, run.ExitCode);
        Assert.Equal([2, 1, 1], new[] { "always", "on-failure", "no" }.Select(m => run.Events("started", m).Length));
    }

    [Fact]
    public async Task A_member_whose_program_has_gone_is_given_up_and_the_others_go_on()
    {
        string program = _folder.File("program", "#!/bin/sh\nrm $0\nexit 5\n"), pipe = _folder.NamedPipe("release");
        using var run = new HostRun(null, new MemberFile("a", program) { Restart = "on-failure", RestartLimit = 1 }, Shell("other", $"read x <{pipe}; echo $x"));
        await run.TimesAsync("givenUp", "a", 1);
        await File.WriteAllTextAsync(pipe, "alive\n");
        await run.EndAsync();
        Assert.Equal(["alive"], run.Lines("other"));
        Assert.Contains("no such file", run.Events("givenUp", "a")[0].Text);
        Assert.Equal(127, run.ExitCode);
    }

    [Fact]
    public async Task A_stopped_family_restarts_nobody()
    {
        using var run = new HostRun(null, Sleeper("a") with { Restart = "always" }, Sleeper("b") with { Restart = "on-failure" }, Shell("c", "exit 1") with { Restart = "always" });
        await run.TimesAsync("restarting", "c", 2);
        await run.TimesAsync("started", "b", 1);
        await run.StopAsync();
        Assert.Equal((1, 1), (run.Events("started", "a").Length, run.Events("started", "b").Length));
    }

    [Fact]
    public async Task A_member_that_lost_a_receiver_is_started_again_whatever_its_policy()
    {
        using var run = new HostRun(null, Sleeper("a"), Sleeper("b"));
        await run.TimesAsync("started", "b", 1);
        run.Command("lost a");
        await run.TimesAsync("started", "a", 2);
        Assert.Equal("Lost a receiver, so a is restarted.", Assert.Single(run.Events("notice", "a")).Text);
        Assert.Empty(run.Events("restarting", "a"));             // one report is enough
        await run.StopAsync();
        Assert.Single(run.Events("started", "b"));
    }

    [Fact]
    public async Task A_loss_of_nobodys_is_told_and_the_family_goes_on()
    {
        using var run = new HostRun(null, Sleeper("a"));
        await run.TimesAsync("started", "a", 1);
        run.Command("lost nobody");
        await run.TimesAsync("notice", "rpal", 1);
        Assert.Contains("nobody: no such member", Assert.Single(run.Notices("rpal")));
        run.Command("lost a");
        await run.TimesAsync("started", "a", 2);
        await run.StopAsync();
        Assert.Equal(15, run.Events("ended", "a")[1].Signal);
    }

    [Fact]
    public async Task A_loss_reported_for_a_process_that_is_gone_restarts_nobody_in_its_slot()
    {
        using var run = new HostRun(null, Sleeper("a"));
        await run.TimesAsync("started", "a", 1);
        run.Command("lost-slot 0 4711");
        run.Command("lost-slot 0 1");
        await run.TimesAsync("started", "a", 2);
        await run.StopAsync();
        Assert.Equal("generation 1, so a is restarted. rpal run --trace-members avoids this.", Assert.Single(run.Notices("a")));
    }

    [Fact]
    public async Task A_start_that_fails_in_a_way_nobody_expects_is_a_failed_start_like_others()
    {
        using var run = new HostRun(null, Sleeper("other"), Sleeper("a"));
        await run.TimesAsync("started", "a", 1);
        run.Command("restart-broken a");
        await run.TimesAsync("restarting", "a", 2);
        await run.StopAsync();
        Assert.All(run.Events("restarting", "a"), e => Assert.StartsWith("a: the host cannot start it: ArgumentException: ", e.Text, StringComparison.Ordinal));
        Assert.Equal([0.1, 0.2], run.Events("restarting", "a").Take(2).Select(e => e.DelaySeconds));
        Assert.Empty(run.Notices("rpal"));
        Assert.Equal(15, run.Ended("other").Signal);
    }

    [Fact]
    public async Task A_thousand_restarts_leave_nothing_in_the_host()
    {
        // 45 prove that slots are used again; by then each has been used once, and what is mapped once per slot is there.
        const int warm = FamilyDefinition.MemberLimit + 5, all = 1000, running = 2;
        using var run = new HostRun(null, Sleeper("steady"), Sleeper("again"));
        for (int i = 1; i <= all; i++)
        {
            await run.TimesAsync("started", "again", i);
            if (i == warm)
            {
                run.Command($"quiet warm {running} {int.MaxValue}");
                await run.UntilAsync(e => e.Event == "warm");
            }

            run.Command("restart again");
        }

        await run.TimesAsync("started", "again", all + 1);
        run.Command($"quiet later {running} {run.Resources("warm").Descriptors!.Length}");
        await run.UntilAsync(e => e.Event == "later");
        await run.StopAsync();
        HostEvent warmed = run.Resources("warm"), later = run.Resources("later");
        Assert.True(later.Descriptors!.Length <= warmed.Descriptors!.Length, $"{string.Join(' ', warmed.Descriptors)}, and later {string.Join(' ', later.Descriptors)}");
        Assert.Equal(Loader(warmed), Loader(later));

        // The runtime's own: a heap region or a pool thread's stack more is a few mappings; one left per restart would be over 900.
        Assert.InRange(later.Maps!.Length, 0, warmed.Maps!.Length + 40);
        Assert.InRange(later.ResidentKib, 0, warmed.ResidentKib + (16 << 10));
        Assert.Single(run.Events("started", "steady"));

        static int Loader(HostEvent e) => e.Threads!.Count(t => t.StartsWith("exit ", StringComparison.Ordinal) || t.StartsWith("broker ", StringComparison.Ordinal) || t.StartsWith("output ", StringComparison.Ordinal));
    }

    private static MemberFile Sleeper(string name) => new(name, "/bin/sleep", "1000");

    private MemberFile Shell(string name, string script) => new(name, "/bin/sh", "-c", script) { WorkingDirectory = _folder.Path };
}
