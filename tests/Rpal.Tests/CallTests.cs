using Rpal.Tests.Families;

namespace Rpal.Tests;

public sealed class CallTests
{
    [Fact]
    public void A_handler_reads_and_writes_where_the_caller_has_it() => FamilyRun.CallerSucceeds("in-place");

    [Fact]
    public void Heap_memory_stays_in_place_for_the_call_while_the_caller_compacts() => FamilyRun.CallerSucceeds("heap-while-compacting");

    [Fact]
    public void Broken_contracts_give_the_documented_errors() => FamilyRun.CallerSucceeds("errors");

    [Fact]
    public void Calls_work_under_Dockers_default_profile() => FamilyRun.SucceedsInContainer(MemberSpec.Serves("work"), MemberSpec.Scenario("caller", "in-place"));

    [Fact]
    public void Limits_give_the_documented_errors() => FamilyRun.CallerSucceeds("limits");
}
