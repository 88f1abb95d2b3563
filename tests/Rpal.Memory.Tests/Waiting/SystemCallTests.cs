using Rpal.Memory.Segments;
using Rpal.Memory.Waiting;

namespace Rpal.Memory.Tests.Waiting;

/// <summary>What a release costs the kernel, asked of the kernel: another process may make no system call, and ends with SIGSYS if it does.</summary>
public sealed unsafe class SystemCallTests
{
    private const string Rounds = "100000";

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_release_that_nobody_sleeps_for_makes_no_system_call(bool inSet)
    {
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore s = SharedSemaphore.Create(segment);
        using SemaphoreSet set = SemaphoreSet.Join(segment, SemaphoreSet.CreateSeats(segment, 1, 1));
        if (inSet)
        {
            set.Add(s);
        }

        using var quiet = PeerProcess.StartUntiered("sem-quiet", Rounds);
        quiet.Send(segment);
        quiet.WaitFor("quiet");
        Assert.Equal(50_000u, s.Count);
        Assert.Equal(inSet ? WaitStatus.Acquired : WaitStatus.TimedOut, set.TryWaitAny(out _));
    }

    /// <summary>The test above would see a call.</summary>
    [Fact]
    public void A_release_that_somebody_sleeps_for_makes_one()
    {
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore s = SharedSemaphore.Create(segment);
        TestThread[] sleepers = [.. Enumerable.Range(0, 3).Select(_ => TestThread.Start(() => Assert.Equal(WaitStatus.Acquired, s.Wait(PeerProcess.Patience))))];
        SharedSemaphoreTests.WaitUntil(() => s.Block->Waiting != 0);
        using var loud = PeerProcess.StartUntiered("sem-quiet", Rounds);
        loud.Send(segment);
        Assert.Equal(128 + 31, loud.WaitForExit(PeerProcess.Patience));              // SIGSYS
        s.Release(3);
        Array.ForEach(sleepers, t => t.Join(PeerProcess.Patience));
    }

    [Fact]
    public void A_process_with_one_cpu_does_not_spin()
    {
        using var one = PeerProcess.Start("spin-budget");
        one.WaitFor("budget 0");
    }
}
