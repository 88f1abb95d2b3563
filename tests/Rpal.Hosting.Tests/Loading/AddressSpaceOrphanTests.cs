using Rpal.Hosting.Loading;

namespace Rpal.Hosting.Tests.Loading;

/// <summary>An orphan's number may be another process's when it is to be killed.</summary>
public sealed class AddressSpaceOrphanTests
{
    [Fact]
    public void A_process_that_has_an_orphans_number_by_now_is_not_killed()
    {
        using Child stranger = Child.Start("sleep", "1000");
        int pid = stranger.Process.Id;
        Assert.False(AddressSpace.KillOrphan(pid, new HashSet<int>()));
        Assert.False(stranger.Process.WaitForExit(TimeSpan.FromSeconds(1)));
        stranger.KillAll();
        stranger.AwaitExit(TimeSpan.FromSeconds(30));
        Assert.False(AddressSpace.KillOrphan(pid, new HashSet<int>()));
    }

    [Fact]
    public void A_member_that_has_an_orphans_number_by_now_is_not_killed() =>
        Assert.False(AddressSpace.KillOrphan(Environment.ProcessId, new HashSet<int> { Environment.ProcessId }));
}
