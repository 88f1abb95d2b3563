using Rpal.Linux;
using Rpal.Tests.Families;

namespace Rpal.Tests;

public sealed class DeathTests
{
    /// <summary>The runtimes then have no reason of their own to interrupt a computation, which would call the context home: no code is replaced under it.</summary>
    private static readonly Dictionary<string, string> s_compilesOnce = new() { ["DOTNET_TieredCompilation"] = "0" };

    [Theory]
    [InlineData("Nothing", 1)]
    [InlineData("ComputeForever", 1)]
    [InlineData("ComputeForever", 3)]
    [InlineData("SleepForever", 1)]
    [InlineData("SleepForever", 3)]
    [InlineData("ReadBlocked", 1)]
    [InlineData("ReadBlocked", 3)]
    public void A_killed_callee_gives_its_callers_an_error_and_they_go_on(string doing, int callers)
    {
        FamilyRun run = Run(MemberSpec.Serves("victim", 4), MemberSpec.Scenario("caller", "kill", doing, $"{callers}"));
        Assert.Equal(Signal.SIGKILL, run.ExitOf("victim").Signal);
    }

    [Theory]
    [InlineData("Recurse", 100_000_000, Signal.SIGABRT, 134)]
    [InlineData("FailFast", 0, Signal.SIGABRT, 134)]
    [InlineData("Exit", 7, 0, 7)]
    public void A_callee_that_brings_itself_down_takes_nobody_along(string deed, long argument, int signal, int code)
    {
        FamilyRun run = Run(MemberSpec.Serves("victim"), MemberSpec.Scenario("caller", "make-it-die", deed, $"{argument}"));
        Assert.Equal(new Exit(code, signal), run.ExitOf("victim"));
    }

    [Theory]
    [InlineData("handler")]
    [InlineData("thread")]
    public void A_callee_that_executes_another_program_gives_its_callers_an_error_and_the_host_says_so(string where)
    {
        using var run = FamilyRun.Start(MemberSpec.Serves("victim"), MemberSpec.Serves("work"),
            MemberSpec.Scenario("caller", "executes-another", where));
        run.WaitForLine("victim", "executed another program and so left the family");
        run.WaitForExit("caller");
        run.Expect(run.ExitOf("caller") == new Exit(0, 0), "the caller's end");
    }

    [Fact]
    public void A_process_killed_in_the_middle_of_a_nested_call_takes_nobody_along() =>
        Run(MemberSpec.Scenario("b", "relay", "b", "work", "2"), MemberSpec.Scenario("caller", "kill-the-middle"));

    [Fact]
    public void Senders_that_wait_for_a_receiver_are_told_when_the_process_dies() =>
        Run(MemberSpec.Serves("victim"), MemberSpec.Scenario("caller", "waits-for-the-dying"));

    [Theory]
    [InlineData(Signal.SIGTERM, 143, Signal.SIGTERM)]
    [InlineData(Signal.SIGKILL, 137, Signal.SIGKILL)]
    [InlineData(Signal.SIGUSR1, 138, Signal.SIGUSR1)]
    [InlineData(Signal.SIGALRM, 142, Signal.SIGALRM)]
    public void A_signal_that_is_not_handled_ends_the_process_that_calls_go_to(int signal, int code, int killedBy)
    {
        using var run = FamilyRun.Start(MemberSpec.Serves("work"), MemberSpec.Scenario("caller", "never-ends"));
        run.WaitForLine("caller", "calling");
        run.Send("work", signal);
        run.WaitForEnd("caller");
        run.Expect(run.ExitOf("work") == new Exit(code, killedBy), "the callee's end");
        run.Expect(run.ExitOf("caller") == new Exit(0, 0), "the caller's end");
        Assert.Contains("told", run.Lines("caller"));
    }

    [Theory]
    [InlineData("exit", "ComputeAnnounced")]
    [InlineData("return", "ComputeAnnounced")]
    [InlineData("fail-fast", "ComputeAnnounced")]
    [InlineData("throw", "ComputeAnnounced")]
    [InlineData("15", "ComputeAnnounced")]
    [InlineData("10", "ComputeAnnounced")]
    [InlineData("exit", "SleepAnnounced")]
    [InlineData("15", "SleepAnnounced")]
    public void A_caller_that_ends_inside_a_handler_hands_back_what_it_borrowed(string way, string deed)
    {
        DiesInside(FamilyRun.Start, way, deed, static run => run.WaitForExit("dying"));
    }

    [Fact]
    public void A_callee_whose_receiver_is_lost_with_a_killed_caller_is_started_anew_with_a_report() =>
        DiesInside(FamilyRun.Start, "wait", "ComputeForever", static run =>
        {
            int pid = run.Pid("work");
            run.Send("dying", Signal.SIGKILL);
            run.WaitForLine("work", "dying was killed inside a handler of its service work");
            run.WaitForRestart("work", pid);
        });

    /// <summary>The host reads those blocks when their process has ended. What it does not believe it says.</summary>
    [Theory]
    [InlineData("unmapped")]
    [InlineData("outside")]
    [InlineData("misaligned")]
    [InlineData("in-the-block-of-nobody")]
    [InlineData("in-the-receiver-of-nobody")]
    [InlineData("in-the-code")]
    [InlineData("in-the-directory")]
    public void A_caller_that_dies_with_its_blocks_written_over_takes_nobody_along(string what) =>
        DiesInside(FamilyRun.Start, $"written {what}", "ComputeForever", static run =>
        {
            run.WaitForExit("dying");
            run.WaitForExit("work");                             // what connects from here on gets the next one
            run.WaitForLine("dying", "its blocks in the family's region were written over");
        });

    [Theory]
    [InlineData("ComputeAnnounced")]
    [InlineData("SleepAnnounced")]
    public void In_a_traced_family_a_killed_caller_hands_back_too(string deed) =>
        DiesInside(FamilyRun.StartTraced, "wait", deed, static run =>
        {
            run.Send("dying", Signal.SIGKILL);
            run.WaitForExit("dying");
        });

    /// <summary>Wherever it was stopped in its call: claimed, inside, on the way back.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void A_caller_that_is_stopped_while_its_callee_dies_is_told_when_it_goes_on(int attempt)
    {
        using var run = FamilyRun.Start(MemberSpec.Serves("work", 1), MemberSpec.Scenario($"caller{attempt}", "never-ends"));
        string caller = $"caller{attempt}";
        run.WaitForLine(caller, "calling");
        run.Send(caller, Signal.SIGSTOP);
        run.Send("work", Signal.SIGKILL);
        run.WaitForExit("work");
        run.Send(caller, Signal.SIGCONT);
        run.WaitForEnd(caller);
        run.Expect(run.ExitOf(caller) == new Exit(0, 0), "the caller's end");
        Assert.Contains("told", run.Lines(caller));
    }

    /// <summary>One caller dies inside handlers; another goes on calling, and all receivers come back.</summary>
    private static void DiesInside(Func<MemberSpec[], FamilyRun> start, string way, string deed, Action<FamilyRun> end)
    {
        string flag = Path.GetTempFileName();
        File.Delete(flag);
        try
        {
            using FamilyRun run = start(
            [
                MemberSpec.Serves("work", 3) with { Environment = s_compilesOnce },
                MemberSpec.Scenario("dying", "dies-inside", way, deed, "300", "2") with { Environment = s_compilesOnce },
                MemberSpec.Scenario("other", "goes-on-after", flag, "3"),
            ]);
            run.WaitForLine("dying", "inside");
            end(run);
            File.WriteAllText($"{flag}.new", run.Lines("dying").First(l => l.StartsWith("inside", StringComparison.Ordinal)).Split(' ')[^1]);
            File.Move($"{flag}.new", flag);
            run.WaitForEnd("other");
            run.Expect(run.ExitOf("other") == new Exit(0, 0), "the other caller's end");
            run.Expect(run.ExitOf("work") == new Exit(0, 0), "the callee's end");
        }
        finally
        {
            File.Delete(flag);
        }
    }

    internal static FamilyRun Run(MemberSpec victim, MemberSpec caller)
    {
        using var run = FamilyRun.Start(victim, MemberSpec.Serves("work"), caller);
        run.WaitForEnd(caller.Name, "work");
        run.Expect(run.ExitOf(caller.Name) == new Exit(0, 0), "the caller's end");
        run.Expect(run.ExitOf("work") == new Exit(0, 0), "the survivor's end");
        return run;
    }
}
