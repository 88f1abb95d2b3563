using Rpal.Linux;

namespace Rpal.Hosting;

/// <summary>Whether spinning can ever pay here: not with one CPU, not under a quota of less than two.</summary>
internal static class CpuBudget
{
    private const string QuotaFile = "/sys/fs/cgroup/cpu.max";

    public static bool MaySpin()
    {
        long mask = Sys.SchedGetAffinity(0);
        return mask is < 0 || System.Numerics.BitOperations.PopCount((ulong)mask) > 1 && QuotaCpus() is not < 2;
    }

    /// <summary>CPUs that the cgroup allows, or null when it sets no quota. Source: cgroup v2, cpu.max: "quota period" or "max period".</summary>
    private static double? QuotaCpus()
    {
        try
        {
            string[] words = File.ReadAllText(QuotaFile).Split(' ');
            return words.Length == 2 && long.TryParse(words[0], out long quota) && long.TryParse(words[1], out long period) && period > 0 ? (double)quota / period : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
