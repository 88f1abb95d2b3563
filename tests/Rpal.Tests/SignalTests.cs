using Rpal.Tests.Families;

namespace Rpal.Tests;

public sealed class SignalTests
{
    [Fact]
    public void Handlers_registered_after_the_first_call_get_their_process_s_signals() =>
        FamilyRun.Succeeds(MemberSpec.Scenario("server", "serve-with-handlers", "work"), MemberSpec.Scenario("caller", "signals-both"));

    [Fact]
    public void Children_of_armed_threads_start_with_the_signal_state_of_any_child() =>
        FamilyRun.Succeeds(MemberSpec.Scenario("server", "serve-with-handlers", "work"), MemberSpec.Scenario("caller", "children-are-clean"));

    [Fact]
    public void A_member_that_changes_a_handler_thousands_of_times_keeps_its_others() =>
        FamilyRun.Succeeds(MemberSpec.Scenario("member", "changes-handlers-often"));
}
