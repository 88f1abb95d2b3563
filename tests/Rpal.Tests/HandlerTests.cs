using Rpal.Tests.Families;

namespace Rpal.Tests;

public sealed class HandlerTests
{
    [Fact]
    public void Exceptions_reach_the_caller_as_text_whatever_the_text_is() => FamilyRun.CallerSucceeds("exceptions");

    [Fact]
    public void A_handler_may_do_what_its_process_may() => FamilyRun.CallerSucceeds("in-handler");

    [Fact]
    public void What_a_handler_writes_comes_from_its_own_process()
    {
        FamilyRun run = FamilyRun.CallerSucceeds("write-line");
        Assert.Equal([$"written by {run.Pid("work")}"], run.Lines("work"));
        Assert.Equal("complained", run.Errors("work"));
        Assert.Empty(run.Lines("caller"));
    }

    [Fact]
    public void Thread_state_belongs_to_the_receiver() => FamilyRun.CallerSucceeds("thread-state");

    [Fact]
    public void System_calls_in_place_and_lazy_switches_are_counted_apart() => FamilyRun.CallerSucceeds("counters");
}
