using System.Text.Json;
using Rpal.Machine.Emit;
using Xunit.Abstractions;

namespace Rpal.Machine.Tests;

/// <summary>Real processes: a caller and two callees in one address space, with signals at every numbered point and anywhere.</summary>
public sealed class StormTests(ITestOutputHelper output)
{
    private const int LeastHits = 10;

    /// <summary>Three runtimes start and end, on a machine that may be busy.</summary>
    private static readonly TimeSpan s_startLimit = TimeSpan.FromSeconds(90);

    /// <summary>About so many breakpoints between two signals: a few calls, and less than one call.</summary>
    private const int InjectEvery = 29, OtherInjectEvery = 3;

    [Theory]
    [InlineData("none")]
    [InlineData("churn")]
    [InlineData("churn,storm")]
    [InlineData("churn,storm,accounting")]
    public void A_signal_at_any_numbered_point_leaves_every_answer_right(string with)
    {
        Dictionary<string, long> hits = [];
        Dictionary<string, long> sums = new() { ["callsRolledBack"] = 0, ["answersRolledBack"] = 0, ["answersRolledForward"] = 0 };
        foreach (int every in (int[])[InjectEvery, OtherInjectEvery])
        {
            JsonElement report = Run("all", 3, every, with);
            foreach (JsonProperty point in report.GetProperty("points").EnumerateObject())
            {
                hits[point.Name] = hits.GetValueOrDefault(point.Name) + point.Value.GetInt64();
            }

            foreach (string name in sums.Keys)
            {
                sums[name] += report.GetProperty(name).GetInt64();
            }
        }

        Assert.Equal(MachineCode.Assemble(inject: true).Points.Count, hits.Count);
        Assert.All(hits, h => Assert.True(h.Value >= LeastHits, $"{h.Key} was hit {h.Value} times."));
        Assert.All(sums, s => Assert.True(s.Value > 0, $"{s.Key} stayed zero."));
    }

    [Theory]
    [InlineData("storm")]
    [InlineData("storm,churn")]
    [InlineData("storm,accounting")]
    public void In_a_storm_every_answer_is_right_and_every_signal_is_handled_once_in_its_own_process(string with)
    {
        JsonElement report = Run("all", 5, 0, with);
        Assert.True(report.GetProperty("signalsSent").GetInt64() > 1000);
        Assert.Equal(report.GetProperty("signalsSent").GetInt64(), report.GetProperty("signalsHandled").GetInt64());
        Assert.Equal(0, report.GetProperty("signalsRefused").GetInt64());
        foreach (string kind in (ReadOnlySpan<string>)["lazy", "inPlace", "nested", "evictions", "requeued", "registerChecks", "evictionsSeen"])
        {
            Assert.True(report.GetProperty(kind).GetInt64() > 0, $"{kind} stayed zero.");
        }
    }

    [Theory]
    [InlineData("none")]
    [InlineData("churn")]
    public void Registers_survive_every_way_a_call_can_take(string with)
    {
        JsonElement report = Run("registers", 3, 0, with);
        Assert.True(report.GetProperty("registerChecks").GetInt64() >= 9);
        Assert.True(report.GetProperty("evictionsSeen").GetInt64() > 0, "No computing handler was ever evicted.");
        Assert.Equal(0, report.GetProperty("registersChanged").GetInt64());
    }

    [Fact]
    public void Corrected_time_goes_to_whoever_was_called_and_adds_up_to_the_kernels()
    {
        JsonElement times = (Run("calls", 4, 0, "accounting")).GetProperty("times");
        (double Kernel, double Corrected) Of(string member) =>
            (times.GetProperty(member).GetProperty("kernelMs").GetDouble(), times.GetProperty(member).GetProperty("correctedMs").GetDouble());
        (double Kernel, double Corrected) caller = Of("caller"), a = Of("a"), b = Of("b");
        Assert.True(caller.Corrected < caller.Kernel, $"caller {caller}");
        Assert.True(a.Corrected > a.Kernel, $"a {a}");
        Assert.True(b.Corrected > b.Kernel, $"b {b}");
        double kernel = caller.Kernel + a.Kernel + b.Kernel, corrected = caller.Corrected + a.Corrected + b.Corrected;
        Assert.InRange(corrected, 0.8 * kernel, 1.2 * kernel);   // read one after the other, while they run
    }

    /// <summary>A family host of its own, killed when it outstays its time; its report is one line of JSON.</summary>
    private JsonElement Run(string mode, double seconds, int inject, string with)
    {
        string configuration = AppContext.BaseDirectory.Contains("/Release/", StringComparison.Ordinal) ? "Release" : "Debug";
        string host = Repository.PathOf("tests", "Rpal.MachineHost", "bin", configuration, "net10.0", "Rpal.MachineHost.dll");
        int seed = Random.Shared.Next();
        ChildOutput r = Child.Run(TimeSpan.FromSeconds(seconds) + s_startLimit, "dotnet", host, mode, "--seconds", $"{seconds}",
            "--inject", $"{inject}", "--with", with, "--seed", $"{seed}");
        output.WriteLine(r.Output);
        Assert.True(r.ExitCode == 0, $"Seed {seed}, exit code {r.ExitCode}: {r.Output}\n{r.Error}");
        JsonElement report = JsonDocument.Parse(r.Output).RootElement;
        Assert.Equal(0, report.GetProperty("timesWentBack").GetInt32());
        Assert.Equal(0, report.GetProperty("timesTooLong").GetInt32());
        return report;
    }
}
