using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Loading;

/// <summary>Places a member's mappings in its slot. The kernel's own map is the truth; this only chooses candidates.</summary>
/// <remarks><code>
/// slot + 0        the program          slot + 4 GiB    its interpreter
/// slot + 8 GiB    main thread's stack  slot + 16 GiB   everything mapped without an address, upwards
/// </code>
/// The cursor only moves up; at the slot's end it starts again in the gaps that /proc/self/maps shows. Used by one thread.
/// </remarks>
internal sealed class SlotSpace
{
    public const long InterpreterOffset = 1L << 32, StackOffset = 2L << 32, ArenaOffset = 4L << 32;

    private const long HugePageBytes = 2 << 20, PageBytes = 4096;

    /// <summary>Collisions with mappings made at fixed addresses before the gaps are looked up.</summary>
    private const int CollisionLimit = 64;

    private readonly long _start, _end;
    private long _cursor, _gapEnd;

    public SlotSpace(int slot)
    {
        Base = FamilyLayout.Slot(slot);
        _start = _cursor = Base + ArenaOffset;
        _end = _gapEnd = Base + FamilyLayout.SlotBytes;
    }

    public long Base { get; }

    public bool Contains(long address, long length) => address >= Base && length >= 0 && address <= _end - length;

    /// <summary>Maps with <paramref name="map"/> at an address of this slot: it gets a candidate and must not replace anything.</summary>
    /// <returns>What <paramref name="map"/> returned: the address or -errno; -ENOMEM when the slot is full.</returns>
    public nint Place(long length, Func<long, nint> map)
    {
        if (length == 0)
        {
            return -(int)Errno.EINVAL;
        }

        if (length < 0 || length > _end - _start)                // a size_t above 2^63 arrives as negative
        {
            return -(int)Errno.ENOMEM;
        }

        long size = (length + PageBytes - 1) & -PageBytes;
        long align = size >= HugePageBytes ? HugePageBytes : PageBytes;
        for (int tries = 0; tries < CollisionLimit; tries++)
        {
            long candidate = (_cursor + align - 1) & -align;
            if (candidate > _gapEnd - size && !NextGap(size, align, out candidate))
            {
                return -(int)Errno.ENOMEM;
            }

            nint r = map(candidate);
            if (r != -(int)Errno.EEXIST)
            {
                if (r >= 0)
                {
                    _cursor = candidate + size;
                }

                return r;
            }

            _gapEnd = _cursor;                                   // something lies there: look the gaps up
        }

        return -(int)Errno.ENOMEM;
    }

    /// <summary>The first gap that is large enough, from the cursor on and then from the start.</summary>
    private bool NextGap(long size, long align, out long candidate)
    {
        List<(long Start, long End)> gaps = Gaps();
        foreach (long from in (ReadOnlySpan<long>)[_cursor, _start])
        {
            foreach ((long start, long end) in gaps)
            {
                candidate = (Math.Max(start, from) + align - 1) & -align;
                if (candidate <= end - size)
                {
                    _gapEnd = end;
                    return true;
                }
            }
        }

        candidate = 0;
        return false;
    }

    private List<(long, long)> Gaps()
    {
        List<(long, long)> gaps = [];
        long free = _start;
        foreach (string line in File.ReadLines("/proc/self/maps"))
        {
            int dash = line.IndexOf('-'), space = line.IndexOf(' ');
            long start = long.Parse(line.AsSpan(0, dash), System.Globalization.NumberStyles.HexNumber);
            long end = long.Parse(line.AsSpan(dash + 1, space - dash - 1), System.Globalization.NumberStyles.HexNumber);
            if (end <= _start || start >= _end)
            {
                continue;
            }

            if (start > free)
            {
                gaps.Add((free, start));
            }

            free = Math.Max(free, end);
        }

        if (free < _end)
        {
            gaps.Add((free, _end));
        }

        return gaps;
    }
}
