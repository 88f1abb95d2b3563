using System.Runtime.InteropServices;

namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>proc_pid_maps(5), ioctl PROCMAP_QUERY, since Linux 6.11: the mapping at an address, or the next one above it.</summary>
    /// <param name="maps">Descriptor of /proc/PID/maps.</param>
    /// <param name="address">Where to look.</param>
    /// <param name="start">First byte of the mapping.</param>
    /// <param name="end">The byte behind it.</param>
    /// <returns>0, or -errno: ENOENT nothing there or above, ENOTTY an older kernel.</returns>
    public static int ProcmapQuery(int maps, long address, out long start, out long end)
    {
        const uint query = 0xc068_6611;                          // _IOWR('f', 17, struct procmap_query)
        const ulong coveringOrNext = 0x10;                       // PROCMAP_QUERY_COVERING_OR_NEXT_VMA
        ProcmapQueryData data = new() { SizeBytes = (ulong)sizeof(ProcmapQueryData), Flags = coveringOrNext, Address = (ulong)address };
        int r = (int)Invoke(SyscallNumber.Ioctl, maps, unchecked((nint)query), (nint)(&data));
        (start, end) = ((long)data.Start, (long)data.End);
        return r;
    }

    /// <summary>struct procmap_query (linux/fs.h); what is asked for is set, the rest stays 0.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 104)]
    private struct ProcmapQueryData
    {
        [FieldOffset(0)] public ulong SizeBytes;
        [FieldOffset(8)] public ulong Flags;
        [FieldOffset(16)] public ulong Address;
        [FieldOffset(24)] public ulong Start;
        [FieldOffset(32)] public ulong End;
    }
}
