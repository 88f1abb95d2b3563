using Rpal.Linux;
using Rpal.Tests.Families;

namespace Rpal.Tests;

public sealed class ThreadTests
{
    [Fact]
    public void Sender_threads_come_and_go_by_the_thousand_without_growth() => FamilyRun.CallerSucceeds("senders-come-and-go");

    [Fact]
    public void A_thread_that_a_sender_started_is_a_sender_of_its_own() => FamilyRun.CallerSucceeds("started-by-a-sender");

    [Fact]
    public void A_thread_with_the_stack_and_the_inherited_block_of_a_sender_that_ended_is_a_sender_of_its_own() =>
        FamilyRun.CallerSucceeds("after-a-sender");

    /// <summary>RPAL_LONG=1: ten thousand meetings, some minutes.</summary>
    [Fact]
    public void Callers_on_threads_with_what_was_anothers_meet_hundreds_of_times_and_nobody_hangs_or_is_another() =>
        FamilyRun.Succeeds(TimeSpan.FromMinutes(Long.IsWanted ? 20 : 2), MemberSpec.Serves("work"),
            MemberSpec.Scenario("caller", "meetings", Long.IsWanted ? "10000" : "300"));

    [Fact]
    public void A_thread_whose_GS_a_library_has_taken_is_refused_and_goes_on_later() => FamilyRun.CallerSucceeds("gs-is-taken");

    [Fact]
    public void A_service_whose_library_takes_GS_in_a_handler_ends_itself_and_the_host_says_why()
    {
        using var run = FamilyRun.Start(MemberSpec.Serves("work"), MemberSpec.Scenario("caller", "gs-is-taken-in-a-handler"));
        run.WaitForLine("work", "some library sets GS");
        run.WaitForExit("work");
    }

    [Theory]
    [InlineData("Readable")]
    [InlineData("NotMapped")]
    [InlineData("Zero")]
    [InlineData("ThenSystemCall")]
    [InlineData("ThenFault")]
    public void A_handler_that_writes_GS_of_the_thread_it_borrowed_ends_its_own_process_and_the_caller_goes_on(string loss)
    {
        using var run = FamilyRun.Start(MemberSpec.Serves("work"), MemberSpec.Serves("other"),
            MemberSpec.Scenario("caller", "gs-is-written-in-a-handler", loss));
        run.WaitForExit("caller");
        run.Expect(run.ExitOf("caller").Code == 0, "the caller goes on");
        run.WaitForLine("work", "some library sets GS");
        run.WaitForExit("work");
        run.Expect(run.ExitOf("work").Signal == Signal.SIGKILL, "the service's end");
    }

    [Fact]
    public void Processes_that_call_can_have_libc_change_the_ids_of_all_threads() => FamilyRun.CallerSucceeds("sets-ids");

    [Fact]
    public void A_thread_that_has_all_signals_blocked_calls_as_any_other() => FamilyRun.CallerSucceeds("blocks-signals");

    [Fact]
    public void A_call_takes_no_stack_for_its_request() => FamilyRun.CallerSucceeds("big-request");

    [Fact]
    public void Services_are_registered_and_closed_hundreds_of_times() => FamilyRun.Succeeds(MemberSpec.Scenario("member", "services-come-and-go"));

    [Fact]
    public void Connections_to_an_earlier_service_of_the_same_name_are_closed() => FamilyRun.Succeeds(MemberSpec.Scenario("member", "old-connections"));
}
