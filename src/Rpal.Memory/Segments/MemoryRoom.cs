using System.Globalization;
using Rpal.Linux;

namespace Rpal.Memory.Segments;

/// <summary>
/// How much memory a segment could have now. Asked before its bytes are made: the kernel makes them one by one, and when none are left it does not
/// say so, it ends processes.
/// </summary>
/// <remarks>Sources: proc(5), /proc/meminfo; cgroups(7): memory.max, memory.current and memory.stat of version 2, memory.limit_in_bytes and memory.usage_in_bytes of version 1.</remarks>
internal sealed class MemoryRoom(Func<string, string?> readFile)
{
    private const long KibibyteBytes = 1024;

    /// <summary>This process's.</summary>
    public static MemoryRoom OfProcess { get; } = new(ControlGroup.Read);

    /// <summary>The tightest limit.</summary>
    /// <param name="source">What sets it.</param>
    /// <returns>Bytes; <see cref="long.MaxValue"/> where nothing tells.</returns>
    public long Look(out string source)
    {
        (long room, source) = (long.MaxValue, "nothing");
        if (readFile("/proc/meminfo") is { } machine && Number(machine, "MemAvailable:") is { } available)
        {
            (room, source) = ((available + (Number(machine, "SwapFree:") ?? 0)) * KibibyteBytes, "the machine (/proc/meminfo, MemAvailable and SwapFree)");
        }

        foreach (string directory in new ControlGroup(readFile, "memory").Directories())
        {
            long? inGroup = Room(directory, "memory.max", "memory.current", "") ?? Room(directory, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_");
            if (inGroup < room)
            {
                (room, source) = (inGroup.Value, $"the control group {directory}");
            }
        }

        return Math.Max(0, room);
    }

    /// <summary>The limit less what is used, but for pages of files: the kernel drops those first.</summary>
    private long? Room(string directory, string limit, string used, string prefix)
    {
        if (!long.TryParse(readFile($"{directory}/{limit}"), CultureInfo.InvariantCulture, out long most)
            || !long.TryParse(readFile($"{directory}/{used}"), CultureInfo.InvariantCulture, out long now))
        {
            return null;                                         // "max", or no such group
        }

        string stat = readFile($"{directory}/memory.stat") ?? "";
        return most - now + (Number(stat, prefix + "inactive_file") ?? 0) + (Number(stat, prefix + "active_file") ?? 0);
    }

    /// <summary>The number in the line that begins with a word.</summary>
    private static long? Number(string text, string word)
    {
        foreach (string line in text.Split('\n'))
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words.Length >= 2 && words[0] == word && long.TryParse(words[1], CultureInfo.InvariantCulture, out long number))
            {
                return number;
            }
        }

        return null;
    }
}
