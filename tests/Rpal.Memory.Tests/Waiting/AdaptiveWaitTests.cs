using Rpal.Memory.Waiting;

namespace Rpal.Memory.Tests.Waiting;

public sealed class AdaptiveWaitTests
{
    private const long WakeNs = 20_000;

    private readonly Dictionary<string, string> _files = [];
    private int _cpus = 2;
    private long _now = 1_000_000_000;

    [Fact]
    public void Spinning_lasts_as_long_as_a_wake_up_costs_and_never_beyond_the_bound()
    {
        Assert.Equal(WakeNs, Waiting().BudgetNs());
        Assert.Equal(AdaptiveWait.SpinBoundNs, new AdaptiveWait(Allowance(), () => 10_000_000).BudgetNs());
    }

    [Fact]
    public void Long_waits_end_the_spinning_and_short_ones_bring_it_back_spun_or_slept()
    {
        AdaptiveWait wait = Waiting();
        int longOnes = 0;
        for (; wait.BudgetNs() > 0; longOnes++)
        {
            wait.Record(10 * WakeNs, slept: true);
        }

        Assert.Equal(AdaptiveWait.HistoryWaits - AdaptiveWait.PayingWaits + 1, longOnes);
        int shortOnes = 0;
        for (; wait.BudgetNs() == 0; shortOnes++)
        {
            wait.Record(WakeNs + 1_000, slept: true);            // the sleep was the wake-up and a little
        }

        Assert.InRange(shortOnes, 1, AdaptiveWait.HistoryWaits);
        wait.Record(WakeNs, slept: false);
        Assert.Equal(WakeNs, wait.BudgetNs());
    }

    [Fact]
    public void One_long_wait_among_short_ones_changes_nothing()
    {
        AdaptiveWait wait = Waiting();
        for (int i = 0; i < 100; i++)
        {
            wait.Record(i % 8 == 0 ? 1_000_000 : 500, slept: i % 8 == 0);
            Assert.True(wait.BudgetNs() > 0);
        }
    }

    [Fact]
    public void One_cpu_means_no_spinning_until_there_are_more()
    {
        _cpus = 1;
        SpinAllowance allowance = Allowance();
        Assert.False(allowance.MaySpin());
        Assert.Equal(0, new AdaptiveWait(allowance, () => WakeNs).BudgetNs());
        _cpus = 2;
        Assert.False(allowance.MaySpin());                       // the answer stands for a while
        _now += SpinAllowance.RefreshNs;
        Assert.True(allowance.MaySpin());
    }

    [Theory]
    [InlineData("max 100000", true)]
    [InlineData("200000 100000", true)]
    [InlineData("199999 100000", false)]
    [InlineData("50000 100000\n", false)]
    [InlineData("nonsense", true)]
    [InlineData("", true)]
    public void A_quota_below_two_cpus_forbids_it(string max, bool may)
    {
        _files["/proc/self/cgroup"] = "0::/a/b\n";
        _files["/sys/fs/cgroup/a/b/cpu.max"] = max;
        Assert.Equal(may, Allowance().MaySpin());
    }

    [Fact]
    public void A_parents_quota_counts_too_and_version_1_is_read()
    {
        _files["/proc/self/cgroup"] = "0::/a/b\n";
        _files["/sys/fs/cgroup/a/cpu.max"] = "100000 100000";
        Assert.False(Allowance().MaySpin());
        _files.Clear();
        _files["/proc/self/cgroup"] = "5:memory:/x\n4:cpu,cpuacct:/y\n1:name=systemd:/z\n";
        _files["/sys/fs/cgroup/cpu/y/cpu.cfs_quota_us"] = "150000\n";
        _files["/sys/fs/cgroup/cpu/y/cpu.cfs_period_us"] = "100000\n";
        Assert.False(Allowance().MaySpin());
        _files["/sys/fs/cgroup/cpu/y/cpu.cfs_quota_us"] = "-1\n";
        Assert.True(Allowance().MaySpin());
    }

    [Fact]
    public void Throttling_that_rises_forbids_it_for_a_while()
    {
        _files["/sys/fs/cgroup/cpu.stat"] = "usage_usec 5\nnr_periods 9\nnr_throttled 3\n";
        SpinAllowance allowance = Allowance();
        Assert.True(allowance.MaySpin());                        // of old
        _files["/sys/fs/cgroup/cpu.stat"] = "nr_throttled 4\n";
        _now += SpinAllowance.RefreshNs;
        Assert.False(allowance.MaySpin());
        _now += SpinAllowance.ThrottledNs / 2;
        Assert.False(allowance.MaySpin());
        _now += SpinAllowance.ThrottledNs;
        Assert.True(allowance.MaySpin());
    }

    [Fact]
    public void The_wake_cost_of_this_machine_is_measured_and_bounded()
    {
        Assert.InRange(WakeCost.Ns(), 1_000, AdaptiveWait.SpinBoundNs);
        _ = SpinAllowance.OfProcess.MaySpin();
    }

    private SpinAllowance Allowance() => new(() => _cpus, path => _files.GetValueOrDefault(path), () => _now);

    private AdaptiveWait Waiting() => new(Allowance(), () => WakeNs);
}
