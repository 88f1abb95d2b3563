using System.Text.Json;

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
    public void A_member_killed_at_each_numbered_point_leaves_no_wrong_answer_hang_crash_or_leak()
    {
        JsonElement figures = Torture("points", "--per-point", "1");
        Assert.All(figures.GetProperty("kills_at_points").EnumerateObject(), p => Assert.True(p.Value.GetInt32() == 1, $"{p.Name}: {figures}"));
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
