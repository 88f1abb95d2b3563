using System.Globalization;
using System.Numerics;
using Rpal.Linux;

namespace Rpal.Memory.Waiting;

/// <summary>Whether this process may spin at all: not on one CPU, where whoever it waits for cannot run meanwhile, and not under a CPU quota that spinning would eat.</summary>
/// <remarks>Looked up again every <see cref="RefreshNs"/>. Sources: sched_getaffinity(2); cgroups(7), cpu.max and cpu.stat of version 2, cpu.cfs_quota_us of version 1.</remarks>
internal sealed class SpinAllowance(Func<int> usableCpus, Func<string, string?> readFile, Func<long> nowNs)
{
    /// <summary>How long an answer stands.</summary>
    public const long RefreshNs = 1_000_000_000;

    /// <summary>After the group was throttled nobody spins for so long.</summary>
    public const long ThrottledNs = 10_000_000_000;

    /// <summary>Least quota, in CPUs, with which a process may spin.</summary>
    public const double LeastCpus = 2;

    private long _refreshAtNs = long.MinValue, _throttledUntilNs = long.MinValue;
    private long _throttledCount = -1;
    private bool _maySpin;

    /// <summary>This process's.</summary>
    public static SpinAllowance OfProcess { get; } = new(UsableCpus, ControlGroup.Read, () => WaitSlice.Now);

    /// <summary>The clock.</summary>
    public long Now => nowNs();

    /// <summary>The last answer; no before the first.</summary>
    public bool MaySpinStill => _maySpin;

    /// <summary>Whether it may spin now.</summary>
    public bool MaySpin() => MaySpin(nowNs());

    /// <param name="now">What <see cref="Now"/> was a moment ago.</param>
    public bool MaySpin(long now)
    {
        if (now >= Volatile.Read(ref _refreshAtNs))
        {
            Volatile.Write(ref _refreshAtNs, now + RefreshNs);
            _maySpin = Look(now);
        }

        return _maySpin;
    }

    private bool Look(long now)
    {
        if (usableCpus() < 2)
        {
            return false;
        }

        double least = double.PositiveInfinity;
        long throttled = 0;
        foreach (string directory in new ControlGroup(readFile, "cpu").Directories())
        {
            least = Math.Min(least, QuotaV2(readFile(directory + "/cpu.max")));
            least = Math.Min(least, QuotaV1(readFile(directory + "/cpu.cfs_quota_us"), readFile(directory + "/cpu.cfs_period_us")));
            throttled += Throttled(readFile(directory + "/cpu.stat"));
        }

        if (_throttledCount >= 0 && throttled > _throttledCount)
        {
            _throttledUntilNs = now + ThrottledNs;
        }

        _throttledCount = throttled;
        return least >= LeastCpus && now >= _throttledUntilNs;
    }

    private static double QuotaV2(string? max) => max?.Trim().Split(' ') is [var quota, var period] ? Cpus(quota, period) : double.PositiveInfinity;

    private static double QuotaV1(string? quota, string? period) => quota is null || period is null ? double.PositiveInfinity : Cpus(quota.Trim(), period.Trim());

    private static double Cpus(string quota, string period) =>
        long.TryParse(quota, CultureInfo.InvariantCulture, out long q) && long.TryParse(period, CultureInfo.InvariantCulture, out long p) && q > 0 && p > 0
            ? (double)q / p
            : double.PositiveInfinity;                           // "max", -1: none

    private static long Throttled(string? stat)
    {
        foreach (string line in (stat ?? "").Split('\n'))
        {
            if (line.StartsWith("nr_throttled ", StringComparison.Ordinal) && long.TryParse(line.AsSpan("nr_throttled ".Length), CultureInfo.InvariantCulture, out long n))
            {
                return n;
            }
        }

        return 0;
    }

    /// <summary>Of the process, not of the calling thread: another of its threads may be pinned elsewhere.</summary>
    private static int UsableCpus()
    {
        int r = Sys.SchedGetAffinity(Environment.ProcessId, out ulong mask);
        return r < 0 || mask == 0 ? Environment.ProcessorCount : BitOperations.PopCount(mask);     // more than 64 CPUs, and none of the first 64 ours
    }
}
