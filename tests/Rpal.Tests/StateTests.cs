using Rpal.Linux;
using Rpal.Tests.Families;

namespace Rpal.Tests;

public sealed class StateTests
{
    [Fact]
    public void A_subscriber_sees_a_service_come_pause_close_die_and_come_again()
    {
        using var run = FamilyRun.Start(MemberSpec.Serves("victim"), MemberSpec.Serves("work"), MemberSpec.Scenario("caller", "watch"));
        run.WaitForEnd("caller", "work");
        run.Expect(run.ExitOf("caller") == new Exit(0, 0), "the subscriber's end");
        run.Expect(run.ExitOf("work") == new Exit(0, 0), "the survivor's end");
        Assert.Equal(Signal.SIGKILL, run.ExitOf("victim").Signal);
    }

    [Fact]
    public void Nothing_watches_while_nobody_subscribes() => FamilyRun.CallerSucceeds("watch-nothing");

    [Fact]
    public void A_call_of_a_disabled_service_is_busy_at_its_deadline_and_answered_when_it_is_enabled() => FamilyRun.CallerSucceeds("disabled-call");

    [Fact]
    public void No_call_is_handled_between_disabled_and_enabled_and_none_is_lost() => FamilyRun.CallerSucceeds("disable-under-load");

    [Fact]
    public void Disabling_waits_for_the_calls_that_have_begun() => FamilyRun.CallerSucceeds("disable-while-called");
}
