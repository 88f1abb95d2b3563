using Rpal.Linux;
using Rpal.Tests.Families;

namespace Rpal.Tests;

public sealed class CopyTests
{
    [Fact]
    public void A_living_peer_s_memory_is_copied_and_what_is_not_mapped_there_is_an_answer() => FamilyRun.CallerSucceeds("copy-living");

    [Fact]
    public void Addresses_outside_of_the_peer_s_slot_are_refused() => FamilyRun.CallerSucceeds("copy-out-of-range");

    [Fact]
    public void A_hundred_thousand_faults_leave_ordinary_null_references_what_they_are() => FamilyRun.CallerSucceeds("copy-100000-faults");

    [Fact]
    public void Memory_may_be_unmapped_in_the_middle_of_copies() => FamilyRun.CallerSucceeds("copy-while-unmapped");

    [Fact]
    public void A_fault_of_a_copy_in_a_handler_is_answered_without_a_lazy_switch() => FamilyRun.CallerSucceeds("copy-in-handler");

    [Theory]
    [InlineData("copy-from-the-dying")]
    [InlineData("copy-pins-the-slot")]
    public void A_peer_killed_in_the_middle_of_copies_is_gone_and_its_slot_free_when_they_have_ended(string scenario)
    {
        using var run = FamilyRun.Start(MemberSpec.Serves("victim"), MemberSpec.Serves("work"), MemberSpec.Scenario("caller", scenario));
        run.WaitForEnd("caller", "work");
        run.Expect(run.ExitOf("caller") == new Exit(0, 0), "the caller's end");
        run.Expect(run.ExitOf("work") == new Exit(0, 0), "the survivor's end");
        Assert.Equal(Signal.SIGKILL, run.ExitOf("victim").Signal);
    }
}
