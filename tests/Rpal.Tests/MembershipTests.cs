using Rpal.Tests.Families;

namespace Rpal.Tests;

public sealed class MembershipTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(20);

    [Fact]
    public void A_program_that_was_not_started_by_rpal_is_in_no_family_and_is_told_so()
    {
        ChildOutput r = Child.Run(s_limit, FamilyRun.InThisFolder("Rpal.TestMember"), "outside");
        Assert.True(r.ExitCode == 0, r.Error);
    }

    [Fact]
    public void A_child_process_that_a_member_starts_is_in_no_family() => FamilyRun.CallerSucceeds("child-outside");

    [Fact]
    public void The_greeter_greets()
    {
        FamilyRun run = FamilyRun.Succeeds(new MemberSpec("server", "Greeter", "serve"), new MemberSpec("caller", "Greeter", "call", "Ada"));
        Assert.Equal([$"Hello Ada, I am process {run.Pid("server")}.", "Answered: 19 + 23 = 42"], run.Lines("caller"));
    }
}
