namespace Rpal.Linux.Tests;

/// <summary>What the tests' own way of starting processes promises.</summary>
public sealed unsafe class ChildTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);

    [Fact]
    public void A_child_ignores_and_blocks_nothing_whatever_its_parent_does()
    {
        KernelSigaction ignored = new() { Handler = 1 }, before;
        ulong all = ulong.MaxValue, mask;
        Assert.Equal(0, Sys.RtSigaction(Signal.SIGUSR2, &ignored, &before));
        Assert.Equal(0, Sys.RtSigprocmask(SignalMaskHow.SetMask, &all, &mask));
        try
        {
            string status = Child.Run(s_limit, "cat", "/proc/self/status").Output;
            Assert.Contains("SigBlk:\t0000000000000000\n", status, StringComparison.Ordinal);
            Assert.Contains("SigIgn:\t0000000000000000\n", status, StringComparison.Ordinal);
            ulong during;
            Assert.Equal(0, Sys.RtSigprocmask(SignalMaskHow.SetMask, &mask, &during));
            Assert.Equal(all & ~(1ul << (Signal.SIGKILL - 1)) & ~(1ul << (Signal.SIGSTOP - 1)), during);
            // Still without effect here, and handled when this returns.
            Assert.Equal(0, Sys.Tgkill(Sys.GetPid(), Sys.GetTid(), Signal.SIGUSR2));
        }
        finally
        {
            _ = Sys.RtSigprocmask(SignalMaskHow.SetMask, &mask, null);
            _ = Sys.RtSigaction(Signal.SIGUSR2, &before, null);
        }
    }

    [Fact]
    public void What_a_child_started_ends_with_it_also_in_a_session_of_its_own()
    {
        Child child = Child.Start("sh", "-c", "setsid sleep 1000 & exec sleep 1000");
        Assert.True(SpinWait.SpinUntil(() => child.Survivors().Length == 2, s_limit), child.Describe());
        int[] pids = child.Survivors();
        child.Dispose();
        Assert.Equal(2, pids.Length);
        // Gone, or a zombie.
        Assert.All(pids, pid => Assert.True(!File.Exists($"/proc/{pid}/cmdline") || File.ReadAllText($"/proc/{pid}/cmdline").Length == 0));
    }

    [Fact]
    public void A_wait_for_output_that_a_grandchild_keeps_open_ends_and_says_who_keeps_it()
    {
        TimeoutException e = Assert.Throws<TimeoutException>(() =>
            Child.Run(TimeSpan.FromSeconds(1), "sh", "-c", "sleep 1000 & echo begun"));
        Assert.Contains("its output is still open", e.Message, StringComparison.Ordinal);
        Assert.Contains("sleep 1000", e.Message, StringComparison.Ordinal);
    }
}
