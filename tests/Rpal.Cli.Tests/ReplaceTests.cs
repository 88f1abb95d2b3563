using System.Text.Json;

namespace Rpal.Cli.Tests;

/// <summary>A member's next version takes its place while others call it.</summary>
public sealed class ReplaceTests : IDisposable
{
    private readonly RunningFamily _family = new();

    public void Dispose() => _family.Dispose();

    [Theory]
    [InlineData(null)]
    [InlineData("0")]
    public void A_caller_sees_the_old_version_then_a_clear_status_then_the_new_one_and_never_a_wrong_answer(string? grace)
    {
        RpalProcess host = _family.RunFile(Json(1), grace is null ? [] : ["--grace", grace]);
        host.AwaitOutput("caller   | answered 1");
        int caller = _family.Member("caller").GetProperty("pid").GetInt32();
        File.WriteAllText(_family.FamilyFile, Json(2));
        Assert.Equal(0, _family.Ask("restart", "service").ExitCode);
        host.AwaitOutput("caller   | answered 2");
        host.AwaitError("caller   ended: exit code 0");
        Assert.Equal(0, _family.Ask("stop").ExitCode);
        RpalProcess.Result r = host.End();
        string[] said = [.. r.OutputLines.Where(l => l.StartsWith("caller", StringComparison.Ordinal)).Select(l => l.Split("| ")[1])];
        Assert.Equal(("answered 1", "answered 2"), (said[0], said[^1]));
        Assert.All(said[1..^1], s => Assert.Contains(s, (string[])["PeerDied", "Closed", "Busy"]));
        Assert.NotEmpty(said[1..^1]);
        Assert.Contains(r.ErrorLines, l => l.Contains($"caller   started: process {caller}", StringComparison.Ordinal));
        Assert.Equal(2, r.ErrorLines.Count(l => l.Contains("service  started", StringComparison.Ordinal)));
    }

    private static string Json(int version) => JsonSerializer.Serialize(new
    {
        members = new object[]
        {
            new { name = "caller", command = RunningFamily.Program("Rpal.TestMember"), arguments = new[] { "call-versions", "2" }, dependsOn = new[] { "service" } },
            new { name = "service", command = RunningFamily.Program("Rpal.TestMember"), arguments = new[] { "serve-version", $"{version}" }, ready = new { service = "version" } },
        },
    });
}
