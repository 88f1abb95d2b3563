using Rpal.Machine.Blocks;
using Rpal.Tests.Families;

namespace Rpal.Tests;

public sealed class AccountingTests
{
    [Fact]
    public void Longer_handlers_get_more_and_the_service_says_the_same() => FamilyRun.CallerSucceeds("donated-computing");

    [Fact]
    public void A_handler_that_sleeps_is_not_paid_for_it_at_home_or_in_place() => FamilyRun.CallerSucceeds("donated-sleep");

    [Fact]
    public void Nothing_is_booked_while_it_is_off() => FamilyRun.CallerSucceeds("donated-never");

    [Fact]
    public void A_family_file_switches_it_on() =>
        FamilyRun.Succeeds(MemberSpec.Serves("work") with { Accounting = true }, MemberSpec.Scenario("caller", "donated-from-the-start"));

    [Fact]
    public void It_may_be_switched_in_the_middle_of_calls() => FamilyRun.CallerSucceeds("donated-switching");

    [Fact]
    public void Threads_come_and_go_and_the_books_only_grow() => FamilyRun.CallerSucceeds("donated-threads");

    [Fact]
    public void Services_come_and_go_and_inherit_nothing() => FamilyRun.Succeeds(MemberSpec.Scenario("both", "donated-services"));

    [Fact]
    public void Nested_time_is_received_and_passed_on() => FamilyRun.Succeeds(
        MemberSpec.Scenario("b", "relay", "b", "c", "2"), MemberSpec.Serves("c"), MemberSpec.Scenario("caller", "donated-nested"));

    [Fact]
    public void A_slot_that_is_used_again_starts_at_nothing()
    {
        const int others = FamilyLayout.MemberCapacity - 3;      // one slot is left: the caller's first is used again when it starts for the third time
        IEnumerable<MemberSpec> sleepers = Enumerable.Range(0, others).Select(i => new MemberSpec($"sleep-{i}", "/bin/sleep", "1000"));
        using var run = FamilyRun.Start([MemberSpec.Serves("work"), MemberSpec.Scenario("caller", "donated-slot-again") with { Accounting = true, Restart = "on-failure" }, .. sleepers]);
        run.WaitForLine("caller", "at the start: ");
        run.WaitForLine("caller", "in a slot used again: ");
        Assert.Equal("in a slot used again: 0 0 0", run.Lines("caller").Single(l => l.StartsWith("in a slot used again", StringComparison.Ordinal)));
    }

    [Fact]
    public void Metrics_say_what_the_properties_say() => FamilyRun.Succeeds(MemberSpec.Scenario("both", "donated-metrics"));
}
