namespace Rpal.Hosting.Tests;

/// <summary>In which order members start and stop.</summary>
public sealed class OrderTests : IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Members_start_after_those_they_depend_on_and_stop_before_them()
    {
        using var run = new HostRun(null, Sleeper("web") with { DependsOn = ["app"] }, Sleeper("app") with { DependsOn = ["store"] }, Sleeper("store"));
        await run.TimesAsync("started", "web", 1);
        await run.StopAsync();
        Assert.Equal(["started store", "started app", "started web", "ended web", "ended app", "ended store"], run.Order("started", "ended"));
    }

    [Fact]
    public async Task A_member_that_does_not_end_in_its_grace_is_killed_and_then_the_next_is_told()
    {
        string deaf = "trap '' TERM; echo ready; while :; do read x </dev/null; done";
        using var run = new HostRun(null, new MemberFile("deaf", "/bin/sh", "-c", deaf) { StopGrace = 0.2, DependsOn = ["last"] }, Sleeper("last"));
        await run.LineAsync("deaf", "ready");
        await run.StopAsync();
        Assert.Equal(["ended deaf", "ended last"], run.Order("ended"));
        Assert.Equal((9, 15), (run.Ended("deaf").Signal, run.Ended("last").Signal));
    }

    [Fact]
    public async Task A_member_that_is_not_ready_in_time_has_failed_and_those_that_need_it_are_given_up()
    {
        using HostRun run = await HostRun.ToEndAsync(Sleeper("store") with { Ready = new { service = "never" }, ReadyTimeout = 0.1 }, Sleeper("app") with { DependsOn = ["store"] });
        Assert.Equal(143, run.ExitCode);
        Assert.Contains("never", Assert.Single(run.Events("notice", "store")).Text);
        Assert.Empty(run.Events("started", "app"));
        Assert.Contains("store has ended before it was ready", Assert.Single(run.Events("givenUp", "app")).Text);
    }

    [Fact]
    public async Task What_depends_on_a_task_that_has_ended_well_starts_all_the_same()
    {
        using HostRun run = await HostRun.ToEndAsync(new MemberFile("task", "/bin/true"), new MemberFile("app", "/bin/echo", "up") { DependsOn = ["task"] });
        Assert.Equal(0, run.ExitCode);
        Assert.Equal(["up"], run.Lines("app"));
    }

    [Theory]
    [InlineData("""{ "members": [ { "name": "a", "command": "b", "dependsOn": ["a"] } ] }""", "a needs a")]
    [InlineData("""{ "members": [ { "name": "a", "command": "x", "dependsOn": ["b"] }, { "name": "b", "command": "x", "dependsOn": ["c"] }, { "name": "c", "command": "x", "dependsOn": ["b"] } ] }""", "b needs c needs b")]
    [InlineData("""{ "members": [ { "name": "a", "command": "b", "dependsOn": ["x"] } ] }""", "no member has that name")]
    [InlineData("""{ "members": [ { "name": "a", "command": "b", "restart": "sometimes" } ] }""", "member a: \"restart\" takes \"no\", \"on-failure\", \"always\", and is or contains \"sometimes\"")]
    [InlineData("""{ "members": [ { "name": "a", "command": "b", "restartLimit": 0 } ] }""", "\"restartLimit\" takes a whole number from 1")]
    [InlineData("""{ "members": [ { "name": "a", "command": "b", "ready": { "line": "x" } } ] }""", "has no field \"line\"")]
    [InlineData("""{ "members": [ { "name": "a", "command": "b", "stopGrace": "5" } ] }""", "\"stopGrace\" takes a number from 0 to 86400")]
    [InlineData("""{ "members": [ { "name": 5, "command": "b" } ] }""", "member 1: \"name\" takes a text in quotes, and is or contains 5")]
    [InlineData("""{ "members": [ "a" ] }""", "member 1 is \"a\"")]
    [InlineData("""{ "members": {} }""", "\"members\" takes a list")]
    [InlineData("""{ "members": [ { "name": "a", "command": "b" } ], "onHostExit": "panic" }""", "\"onHostExit\" takes \"stop\", \"kill\", \"continue\"")]
    public void What_is_wrong_in_a_family_file_is_said_in_its_own_words(string json, string reason)
    {
        string file = _folder.File("family.json", json, executable: false);
        var refused = Assert.Throws<FormatException>(() => FamilyDefinition.Load(file));
        Assert.Contains(reason, refused.Message, StringComparison.Ordinal);
        Assert.StartsWith(file, refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("System.", refused.Message, StringComparison.Ordinal);
    }

    private static MemberFile Sleeper(string name) => new(name, "/bin/sleep", "1000");
}
