using System.Text.Json;
using System.Text.Json.Nodes;
using Rpal.Cli.Output;
using Rpal.Cli.Torture;

namespace Rpal.Cli.Tests;

/// <summary>The short form of <c>rpal torture</c>: the long one is run by hand, with seeds that change.</summary>
public sealed class TortureTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(280);

    [Fact]
    public void Members_killed_at_random_instants_leave_no_wrong_answer_hang_crash_or_leak()
    {
        JsonElement figures = Torture("random", "--seconds", "12");
        Assert.True(figures.GetProperty("kills_callee").GetInt32() > 0 && figures.GetProperty("kills_caller").GetInt32() > 0, $"{figures}");
    }

    [Fact]
    public void A_caller_or_its_callee_killed_at_each_numbered_point_leaves_no_wrong_answer_hang_crash_or_leak()
    {
        JsonElement figures = Torture("points", "--per-point", "2");
        Assert.All(figures.GetProperty("kills_at_points").EnumerateObject(), p => Assert.True(p.Value.GetInt32() == 2, $"{p.Name}: {figures}"));
        Assert.True(figures.GetProperty("their_callees_at_points").EnumerateObject().Sum(p => p.Value.GetInt32()) > 0, $"{figures}");
    }

    /// <summary>The caller comes there with the receiver of a member that is gone, too: its area reads as zeros.
    /// One kill in twenty found it.</summary>
    [Fact]
    public void A_caller_whose_claim_fails_lives_on()
    {
        const int kills = 60;
        JsonElement figures = Torture("points", "--point", "claim_won", "--per-point", $"{kills}");
        Assert.Equal(kills, figures.GetProperty("kills_at_points").GetProperty("claim_won").GetInt32());
    }

    [Theory]
    [InlineData("""{"random":{"ok":true,"kills_callee":3,"kills_caller":4,"wrong_answers":0,"hangs":0,"crashes":0,"leaks":[]},"ok":true}""", "torture: 7 kills, 0 wrong answers, 0 hangs, 0 crashes, 0 leaks: passed")]
    [InlineData("""{"random":{"ok":false,"kills_callee":3,"kills_caller":4,"wrong_answers":2,"hangs":0,"crashes":1,"leaks":["maps 1 -> 99"],"details":["a ended"]},"ok":false}""",
        "torture: 7 kills, 2 wrong answers, 0 hangs, 1 crashes, 1 leaks: FAILED: 2 wrong answers; 1 crashes; 1 leaks")]
    [InlineData("""{"random":{"ok":false,"problem":"The host of this phase gave no result: it died."},"ok":false}""",
        "torture: 0 kills, 0 wrong answers, 0 hangs, 0 crashes, 0 leaks: FAILED: random: The host of this phase gave no result: it died.")]
    [InlineData("""{"random":{"ok":false,"kills_callee":3,"doubts":["points with too few kills: claim, entry"]},"ok":false}""",
        "torture: 3 kills, 0 wrong answers, 0 hangs, 0 crashes, 0 leaks: FAILED: random: points with too few kills: claim, entry")]
    public void The_verdict_is_the_last_line_and_says_why(string figures, string verdict)
    {
        using var output = new StringWriter();
        TortureView.Show(JsonNode.Parse(figures)!.AsObject(), ["random"], Tables.Console(output, colors: false));
        Assert.Equal(verdict, output.ToString().TrimEnd().Split('\n')[^1]);
        Assert.DoesNotContain("{", output.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("[", output.ToString(), StringComparison.Ordinal);
    }

    private static JsonElement Torture(string phase, params string[] options)
    {
        RpalProcess.Result r = RpalProcess.Run(s_limit, ["torture", "--kills", phase, "--json", .. options]);
        Assert.True(r.ExitCode == 0, $"exit code {r.ExitCode}: {r.Output}{r.Error}");
        JsonElement figures = JsonDocument.Parse(r.Output).RootElement.GetProperty(phase);
        Assert.All((string[])["wrong_answers", "hangs", "crashes"], name => Assert.Equal(0, figures.GetProperty(name).GetInt32()));
        Assert.Empty(figures.GetProperty("leaks").EnumerateArray());
        return figures;
    }
}
