using Rpal.Tests.Families;

namespace Rpal.Tests;

/// <summary>Per-CPU sections in handlers that other processes' kernel threads execute.</summary>
public sealed class PerCpuTests
{
    private static readonly Dictionary<string, string> s_compilesOnce = new() { ["DOTNET_TieredCompilation"] = "0" };

    [Fact]
    public void A_handler_that_is_called_home_in_the_middle_of_a_section_counts_exactly() =>
        FamilyRun.Succeeds(MemberSpec.Scenario("server", "serve-percpu"), MemberSpec.Scenario("caller", "percpu-storm"));

    /// <summary>The kernel does not restart a section of a thread that ends: the host does, when it brings the context home.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void A_handler_whose_kernel_thread_ends_in_a_section_goes_on_at_home_and_counts_exactly(int threads)
    {
        const long rounds = 100_000_000;
        string flag = Path.GetTempFileName();
        File.Delete(flag);
        try
        {
            using var run = FamilyRun.Start(
                MemberSpec.Scenario("server", "serve-percpu") with { Environment = s_compilesOnce },
                MemberSpec.Scenario("dying", "percpu-dies-inside", $"{threads}", $"{rounds}") with { Environment = s_compilesOnce },
                MemberSpec.Scenario("other", "percpu-goes-on", flag, $"{threads}", $"{rounds}"));
            run.WaitForLine("dying", "inside");
            run.WaitForExit("dying");
            File.WriteAllText(flag, "");
            run.WaitForEnd("other");
            run.Expect(run.ExitOf("other") == new Exit(0, 0), "the other caller's end");
            run.Expect(run.ExitOf("server") == new Exit(0, 0), "the callee's end");
        }
        finally
        {
            File.Delete(flag);
        }
    }
}
