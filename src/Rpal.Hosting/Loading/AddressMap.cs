using System.Globalization;
using Rpal.Linux;

namespace Rpal.Hosting.Loading;

/// <summary>What the kernel has mapped in this address space, read from /proc/self/maps.</summary>
internal static unsafe class AddressMap
{
    private static readonly Lock s_lock = new();
    private static int s_maps = -1;

    /// <summary>Opens it for good: what is asked later needs no descriptor any more. It stays the map of this address space.</summary>
    /// <exception cref="IOException">/proc is not readable.</exception>
    public static int KeepOpen()
    {
        lock (s_lock)
        {
            if (s_maps < 0)
            {
                int maps = Sys.Open("/proc/self/maps", OpenFlags.ReadOnly | OpenFlags.CloseOnExec);
                s_maps = maps >= 0 ? maps : throw new IOException($"/proc/self/maps: {ErrnoText.Describe(maps)}.");
            }

            return s_maps;
        }
    }

    /// <summary>Adds the mappings that touch a range, in order of their addresses.</summary>
    /// <returns>How many were looked at: since Linux 6.11 those of the range, before that everything below its end.</returns>
    /// <exception cref="IOException">/proc is not readable.</exception>
    public static int Read(long start, long end, List<(long Start, long End)> into)
    {
        int maps = KeepOpen(), looked = 0, r = 0;
        for (long at = start; at < end && (r = Sys.ProcmapQuery(maps, at, out long from, out long to)) == 0 && from < end; at = to)
        {
            into.Add((from, to));
            looked++;
        }

        return r is 0 || r == -(int)Errno.ENOENT ? looked + 1 : ReadText(start, end, into);
    }

    /// <summary>The same from the file's text, which always begins with the lowest address.</summary>
    public static int ReadText(long start, long end, List<(long Start, long End)> into)
    {
        int looked = 0;
        into.Clear();
        foreach (string line in File.ReadLines("/proc/self/maps"))
        {
            looked++;
            (long from, long to) = Range(line);
            if (from >= end)
            {
                break;
            }

            if (to > start)
            {
                into.Add((from, to));
            }
        }

        return looked;
    }

    /// <summary>The line of what lies in a range, or null. For messages.</summary>
    public static string? Line(long start, long end) =>
        File.ReadLines("/proc/self/maps").FirstOrDefault(l => Range(l) is var (from, to) && from < end && to > start);

    /// <summary>All mappings of the address space: what vm.max_map_count limits.</summary>
    public static int Count()
    {
        const int bufferBytes = 64 << 10;
        byte[] buffer = System.Buffers.ArrayPool<byte>.Shared.Rent(bufferBytes);
        int maps = KeepOpen(), lines = 0;
        lock (s_lock)                                            // the kernel goes on where the last read of the descriptor ended, else it begins at the lowest address
        {
            fixed (byte* p = buffer)
            {
                nint n;
                for (long at = 0; (n = Sys.Pread(maps, p, (nuint)buffer.Length, at)) > 0; at += n)
                {
                    lines += buffer.AsSpan(0, (int)n).Count((byte)'\n');
                }
            }
        }

        System.Buffers.ArrayPool<byte>.Shared.Return(buffer);
        return lines;
    }

    /// <summary>What the address space has locked: what the kernel compares with RLIMIT_MEMLOCK.</summary>
    public static long LockedBytes() => File.ReadLines("/proc/self/status").FirstOrDefault(static l => l.StartsWith("VmLck:", StringComparison.Ordinal)) is { } line
        ? long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2], CultureInfo.InvariantCulture) << 10
        : 0;

    /// <summary>The mappings of a range that are locked. The kernel looks at every page for it: only for what is rare.</summary>
    public static List<(long Start, long End)> Locked(long start, long end)
    {
        List<(long Start, long End)> locked = [];
        (long Start, long End) mapping = default;
        foreach (string line in File.ReadLines("/proc/self/smaps"))
        {
            if (char.IsAsciiHexDigitLower(line[0]))              // names of fields begin with a capital letter
            {
                mapping = Range(line);
                if (mapping.Start >= end)
                {
                    break;
                }
            }
            else if (mapping.End > start && line.StartsWith("VmFlags:", StringComparison.Ordinal) && line.Contains(" lo", StringComparison.Ordinal))
            {
                locked.Add(mapping);
            }
        }

        return locked;
    }

    private static (long Start, long End) Range(string line)
    {
        int dash = line.IndexOf('-'), space = line.IndexOf(' ');
        return (Hex(line.AsSpan(0, dash)), Hex(line.AsSpan(dash + 1, space - dash - 1)));
    }

    /// <summary>The vsyscall page lies above 2^63.</summary>
    private static long Hex(ReadOnlySpan<char> digits) => (long)Math.Min(ulong.Parse(digits, NumberStyles.HexNumber), long.MaxValue);
}
