using System.Diagnostics;
using Rpal.Hosting;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Cli.Torture;

/// <summary>What a host without members holds.</summary>
/// <param name="Maps">Mappings of its address space, but those of assemblies.</param>
/// <param name="RssKib">Its resident memory.</param>
/// <param name="Descriptors">Its descriptors, but those of assemblies.</param>
/// <param name="DescriptorKinds">What they are of, with how many of each.</param>
/// <param name="Threads">Its threads.</param>
/// <param name="FreeSlots">Slots that no member has.</param>
/// <param name="Services">Entries of the service directory in use.</param>
internal readonly record struct Baseline(int Maps, long RssKib, int Descriptors, string DescriptorKinds, int Threads, int FreeSlots,
    int Services)
{
    /// <summary>The host's own heap, thread stacks and pool come and go by this much.</summary>
    private const int MapsTolerance = 40, DescriptorsTolerance = 3, ThreadsTolerance = 6;
    private const long RssToleranceKib = 64 << 10;

    private static readonly TimeSpan s_settleLimit = TimeSpan.FromSeconds(15);

    /// <summary>Once all slots but the anchor's are free, or that takes too long.</summary>
    public static Baseline Take()
    {
        Baseline seen = default;
        for (long begin = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(begin) < s_settleLimit; Pace.BetweenSlowLooks())
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            Baseline now = Look();
            if (now == seen with { RssKib = now.RssKib } && now.FreeSlots == FamilyLayout.MemberCapacity - 1)
            {
                break;
            }

            seen = now;
        }

        return Look();
    }

    /// <summary>What is more than before, and more than tolerated.</summary>
    public IEnumerable<string> LeaksSince(Baseline before)
    {
        if (Maps - before.Maps > MapsTolerance)
        {
            yield return $"maps {before.Maps} -> {Maps}";
        }

        if (RssKib - before.RssKib > RssToleranceKib)
        {
            yield return $"rss {before.RssKib} -> {RssKib} KiB";
        }

        if (Descriptors - before.Descriptors > DescriptorsTolerance)
        {
            yield return $"fds {before.Descriptors} -> {Descriptors}: {before.DescriptorKinds} -> {DescriptorKinds}";
        }

        if (Threads - before.Threads > ThreadsTolerance)
        {
            yield return $"threads {before.Threads} -> {Threads}";
        }

        if (FreeSlots < before.FreeSlots)
        {
            yield return $"free slots {before.FreeSlots} -> {FreeSlots}";
        }

        if (Services > before.Services)
        {
            yield return $"services {before.Services} -> {Services}";
        }
    }

    private static unsafe Baseline Look()
    {
        int services = 0;
        for (int i = 0; i < FamilyLayout.ServiceCapacity; i++)
        {
            services += FamilyHeader.Service(i)->State == ServiceState.Free ? 0 : 1;
        }

        string[] memory = File.ReadAllText("/proc/self/statm").Split(' ');
        List<string> kinds = [.. Directory.GetFiles("/proc/self/fd").Select(KindOf).OfType<string>()];
        return new(File.ReadLines("/proc/self/maps").Count(l => !l.EndsWith(".dll", StringComparison.Ordinal)), long.Parse(memory[1]) * Environment.SystemPageSize / 1024,
            kinds.Count,
            string.Join(", ", kinds.CountBy(k => k).OrderBy(k => k.Key, StringComparer.Ordinal).Select(k => $"{k.Value} {k.Key}")),
            Directory.GetDirectories("/proc/self/task").Length, Family.GetOrCreate().Slots.Free, services);
    }

    /// <summary>"pipe", "anon_inode", "null". Null for what is not the host's: the runtime keeps each assembly's file open, and loads them
    /// when they are needed.</summary>
    private static string? KindOf(string descriptor)
    {
        try
        {
            string name = new FileInfo(descriptor).ResolveLinkTarget(returnFinalTarget: false)?.Name ?? "";
            return name.EndsWith(".dll", StringComparison.Ordinal) ? null : name.Split(':')[0];
        }
        catch (IOException)
        {
            return null;                                         // closed meanwhile: the one that listed them
        }
    }
}
