using System.Globalization;

namespace Rpal.Memory.Segments;

/// <summary>
/// How much memory there is to be had now, as the kernel says: of the machine, and of the process's control groups. To ask for more would not be refused by fallocate(2) but answered by the OOM
/// killer, which ends some process.
/// </summary>
/// <remarks>Source: proc(5), MemAvailable; the kernel's cgroup-v2.rst, memory.max. What cannot be read is no limit; somebody else may take it in between.</remarks>
internal static class AvailableMemory
{
    private const string Groups = "/sys/fs/cgroup";
    private const int DepthLimit = 32;
    private const long KiB = 1024;

    /// <summary>Bytes; <see cref="long.MaxValue"/> when nothing is known.</summary>
    public static long Bytes => Math.Min(OfMachine(), OfGroups());

    private static long OfMachine()
    {
        long available = -1, swap = 0;
        foreach (string line in Lines("/proc/meminfo"))
        {
            available = line.StartsWith("MemAvailable:", StringComparison.Ordinal) ? Number(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1]) : available;
            swap = line.StartsWith("SwapFree:", StringComparison.Ordinal) ? Number(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1]) : swap;
        }

        return available < 0 ? long.MaxValue : (available + Math.Max(0, swap)) * KiB;
    }

    /// <summary>The tightest of the process's group and those above it. What a group has as file cache is given back before anybody is killed.</summary>
    private static long OfGroups()
    {
        string? path = Array.Find(Lines("/proc/self/cgroup"), static l => l.StartsWith("0::/", StringComparison.Ordinal))?["0::".Length..];
        long least = long.MaxValue;
        for (int depth = 0; path is not null && depth < DepthLimit; depth++)
        {
            string group = Groups + path.TrimEnd('/');
            long limit = First($"{group}/memory.max"), used = First($"{group}/memory.current");
            if (limit >= 0 && used >= 0)
            {
                long cache = Array.Find(Lines($"{group}/memory.stat"), static l => l.StartsWith("inactive_file ", StringComparison.Ordinal)) is { } line ? Number(line.Split(' ')[1]) : 0;
                least = Math.Min(least, Math.Max(0, limit - used + Math.Max(0, cache)));
            }

            path = path == "/" ? null : Path.GetDirectoryName(path);
        }

        return least;
    }

    /// <returns>-1: "max", or not there.</returns>
    private static long First(string file) => Lines(file) is [string line, ..] ? Number(line) : -1;

    private static long Number(string text) => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long n) ? n : -1;

    private static string[] Lines(string file)
    {
        try
        {
            return File.ReadAllLines(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
