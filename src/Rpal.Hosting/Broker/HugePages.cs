using Rpal.Linux;

namespace Rpal.Hosting.Broker;

/// <summary>Sizes of huge pages that a program asks for by MAP_HUGETLB: the kernel rounds a length up to them.</summary>
internal static class HugePages
{
    private const int SizeShift = 26, SizeMask = 63;

    /// <summary>Powers of two that can be a huge page's size; for others the kernel has its errors.</summary>
    private const int LeastLog2 = 13, MostLog2 = 38;

    /// <summary>Asked again when it fails: there may be no descriptor free just now.</summary>
    private static readonly Lazy<long> s_default = new(static () =>
        File.ReadLines("/proc/meminfo").FirstOrDefault(static l => l.StartsWith("Hugepagesize:", StringComparison.Ordinal)) is { } line
            ? long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1]) << 10
            : 0, LazyThreadSafetyMode.PublicationOnly);

    /// <param name="flags">Of mmap.</param>
    /// <returns>Bytes of one page; 0: ordinary pages, or a size that no kernel has.</returns>
    public static long BytesOf(int flags)
    {
        int log2 = flags >> SizeShift & SizeMask;
        return (flags & MapFlags.HugeTlb) == 0 ? 0 : log2 == 0 ? s_default.Value : log2 is >= LeastLog2 and <= MostLog2 ? 1L << log2 : 0;
    }
}
