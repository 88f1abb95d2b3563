using Rpal.Linux;
using Rpal.Tests.Families;

namespace Rpal.Tests;

/// <summary>Calls know nothing of each other, and no process does another's work.</summary>
public sealed class IsolationTests
{
    [Fact]
    public void A_call_leaves_nothing_behind_for_the_next_caller() =>
        FamilyRun.Succeeds(MemberSpec.Serves("work", 1), MemberSpec.Scenario("caller", "leaves-no-traces"));

    [Fact]
    public void Calls_do_not_run_in_the_context_of_whoever_enabled_the_service() =>
        FamilyRun.Succeeds(MemberSpec.Scenario("work", "serve-in-a-context"), MemberSpec.Scenario("caller", "leaves-no-traces"));

    [Fact]
    public void A_second_copy_of_the_library_in_a_process_is_refused() => FamilyRun.CallerSucceeds("second-copy");

    [Fact]
    public void A_thread_that_stands_in_a_context_it_was_not_lent_ends_its_own_process_and_the_host_says_why()
    {
        using var run = FamilyRun.Start(MemberSpec.Serves("work"), MemberSpec.Scenario("caller", "strays"));
        run.WaitForExit("caller");
        run.Expect(run.ExitOf("caller") == new Exit(128 + Signal.SIGKILL, Signal.SIGKILL), "the stray's end");
        run.WaitForLine("caller", "was not lent");
    }

    /// <summary>The kernel judges a system call by the process that makes it.</summary>
    [Theory]
    [InlineData("judged-by-clock")]
    [InlineData("judged-by-limit")]
    [InlineData("judged-by-personality")]
    [InlineData("judged-by-filter")]
    public void A_handlers_system_call_is_not_judged_by_its_callers(string what) => FamilyRun.CallerSucceeds(what);

    [Theory]
    [InlineData("value")]
    [InlineData("bytes")]
    public void An_answer_that_a_dead_process_had_handed_on_is_not_written_after_the_call(string kind) =>
        DeathTests.Run(MemberSpec.Scenario("b", "relay", "b", "work", "2"), MemberSpec.Scenario("caller", "answer-through-the-dead", kind));

    [Fact]
    public void A_callee_whose_caller_and_that_ones_caller_are_killed_goes_on()
    {
        string file = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        using var run = FamilyRun.Start(
            MemberSpec.Serves("work"), MemberSpec.Scenario("b", "relay", "b", "work", "2"), MemberSpec.Scenario("a", "hand-on-and-wait"),
            MemberSpec.Scenario("witness", "outlives-both", file));
        try
        {
            run.WaitForLine("witness", "held");
            run.Send("b", Signal.SIGKILL);
            run.Send("a", Signal.SIGKILL);
            run.WaitForExit("a");
            run.WaitForExit("b");
            File.WriteAllText(file, "");
            run.WaitForEnd("witness", "work");
        }
        finally
        {
            File.Delete(file);
        }
    }
}
