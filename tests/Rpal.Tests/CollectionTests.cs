using Rpal.Tests.Families;

namespace Rpal.Tests;

public sealed class CollectionTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(90);

    [Fact]
    public void Calls_allocate_nothing_on_either_side() => FamilyRun.CallerSucceeds("no-allocation");

    [Fact]
    public void Both_sides_collect_thousands_of_times_and_every_answer_is_right() => AllocateAndCall(3, 2000);

    [Theory]
    [InlineData("DOTNET_gcServer", "1")]
    [InlineData("DOTNET_gcConcurrent", "0")]
    [InlineData("DOTNET_TieredCompilation", "0")]
    public void Every_answer_is_right_with_another_runtime_setting(string name, string value) => AllocateAndCall(2, 200, (name, value));

    /// <summary>Release builds of the runtime ignore it; a runtime that honours it collects at every allocation.</summary>
    [Fact]
    public void Every_answer_is_right_under_collector_stress()
    {
        Dictionary<string, string> environment = new() { ["DOTNET_GCStress"] = "0x1" };
        FamilyRun.Succeeds(MemberSpec.Serves("work") with { Environment = environment }, MemberSpec.Scenario("caller", "few-calls", "200") with { Environment = environment });
    }

    [Fact]
    public void A_handler_that_only_computes_does_not_hold_up_its_collector() => FamilyRun.CallerSucceeds("tight-loop");

    private static void AllocateAndCall(int threads, int collections, params (string Name, string Value)[] settings)
    {
        Dictionary<string, string> environment = settings.ToDictionary(s => s.Name, s => s.Value);
        FamilyRun.Succeeds(Limit, MemberSpec.Serves("work") with { Environment = environment },
            MemberSpec.Scenario("caller", "allocate-and-call", $"{threads}", $"{collections}") with { Environment = environment });
    }
}
