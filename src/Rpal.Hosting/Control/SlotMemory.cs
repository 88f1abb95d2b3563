using System.Globalization;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Control;

/// <summary>Resident memory by slot. /proc/PID/status counts the whole family for every member, because the address space is one.</summary>
internal static class SlotMemory
{
    /// <summary>Bytes of each slot, in one pass over /proc/self/smaps. Source: proc_pid_smaps(5).</summary>
    public static long[] Read()
    {
        long[] bytes = new long[FamilyLayout.MemberCapacity];
        int slot = -1;
        foreach (string line in File.ReadLines("/proc/self/smaps"))
        {
            int dash = line.IndexOf('-');
            if (line.StartsWith("Rss:", StringComparison.Ordinal))
            {
                const int kib = 1024;
                if (slot >= 0)
                {
                    bytes[slot] += long.Parse(line.AsSpan(4, line.Length - 4 - " kB".Length).Trim(), CultureInfo.InvariantCulture) * kib;
                }
            }
            else if (dash > 0 && long.TryParse(line.AsSpan(0, dash), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out long start))
            {
                slot = start >= FamilyLayout.SlotBase && start < FamilyLayout.SlotEnd ? (int)((start - FamilyLayout.SlotBase) / FamilyLayout.SlotBytes) : -1;
            }
        }

        return bytes;
    }
}
