using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Loading;

/// <summary>Places a member's mappings in its slot: first fit, so that a member that maps and unmaps for ever stays low.</summary>
/// <remarks><code>
/// slot + 0        the program          slot + 4 GiB    its interpreter
/// slot + 8 GiB    end of the main thread's stack, which grows down   slot + 16 GiB   everything mapped without an address:
///
///   16 GiB │ small, first fit upwards ►                      ◄ large (1 GiB and more), from the top downwards │ 512 GiB
/// </code>
/// Large ones are a collector's reservations: apart from the small ones they leave and find gaps of their own size. From 2 MiB on addresses
/// are aligned for huge pages.
/// <para>
/// The kernel's own map is the truth. The host does not see munmap, so the list of gaps may miss some; it is read anew when as many
/// mappings were placed as the last reading looked at (so a placement pays for one looked at, on average), or when nothing fits. A gap
/// that is none any more, because the member mapped there itself, is found out by MAP_FIXED_NOREPLACE. Used by one thread.
/// </para></remarks>
internal sealed class SlotSpace
{
    public const long InterpreterOffset = 1L << 32, StackEnd = 2L << 32, ArenaOffset = 4L << 32;

    /// <summary>Placements after which the gaps are read anew, when the slot has fewer mappings than that.</summary>
    public const int RefreshPlacements = 256;

    /// <summary>Mappings from this size on lie at the top.</summary>
    public const long LargeBytes = 1L << 30;

    private const long HugePageBytes = 2 << 20, PageBytes = 4096;

    /// <summary>Collisions with mappings made at fixed addresses before the gaps are read anew, and before it is given up.</summary>
    private const int CollisionsBeforeRefresh = 4, CollisionLimit = 64;

    private readonly long _start, _end;
    private readonly Reader _read;
    private readonly GapList _gaps = new();
    private readonly List<(long Start, long End)> _taken = [];
    private long _placedSince, _refreshAt = RefreshPlacements;

    /// <summary>Adds the mappings that touch a range, in order, and says how many it looked at.</summary>
    public delegate int Reader(long start, long end, List<(long Start, long End)> into);

    public SlotSpace(int slot)
        : this(slot, AddressMap.Read)
    {
    }

    /// <param name="slot">Its index.</param>
    /// <param name="read">The kernel's map.</param>
    public SlotSpace(int slot, Reader read)
    {
        Base = FamilyLayout.Slot(slot);
        _start = Base + ArenaOffset;
        _end = Base + FamilyLayout.SlotBytes;
        _read = read;
        _gaps.Reset(_start, _end, []);
    }

    public long Base { get; }

    /// <summary>How often the kernel's map was read.</summary>
    public long Refreshes { get; private set; }

    /// <summary>The last <see cref="Place"/> found no gap, as the kernel's map was then.</summary>
    public bool IsFull { get; private set; }

    /// <summary>Mappings without an address, and bytes of them, from the kernel's map.</summary>
    public (int Mappings, long Bytes) Usage()
    {
        Refresh();
        return (_taken.Count, _taken.Sum(t => t.End - t.Start));
    }

    /// <summary>The kernel is asked only when what was placed since could make so many.</summary>
    public bool HasFewerMappingsThan(int count) => _taken.Count + _placedSince < count || Usage().Mappings < count;

    /// <summary>What lies in the slot, one line of the kernel's map; null: nothing.</summary>
    public string? Occupant()
    {
        _taken.Clear();
        _ = _read(Base, _end, _taken);
        return _taken.Count == 0 ? null
            : string.Join(' ', (AddressMap.Line(Base, _end) ?? "gone meanwhile").Split(' ', StringSplitOptions.RemoveEmptyEntries));
    }

    public bool Contains(long address, long length) => address >= Base && length >= 0 && address <= _end - length;

    /// <summary>Something was mapped there without <see cref="Place"/>.</summary>
    public void Took(long address, long length) => _gaps.Take(address, address + RoundUp(length, PageBytes));

    /// <summary>Maps with <paramref name="map"/> at an address of this slot: it gets a candidate and must not replace anything.</summary>
    /// <param name="length">Bytes.</param>
    /// <param name="map">Maps that many at the address it gets.</param>
    /// <param name="pageBytes">What address and length are rounded up to: larger for huge pages.</param>
    /// <returns>What <paramref name="map"/> returned: the address or -errno; -ENOMEM when the slot is full.</returns>
    public nint Place(long length, Func<long, nint> map, long pageBytes = PageBytes)
    {
        IsFull = false;
        if (length == 0)
        {
            return -(int)Errno.EINVAL;
        }

        if (length < 0 || length > _end - _start)                // a size_t above 2^63 arrives as negative
        {
            IsFull = true;
            return -(int)Errno.ENOMEM;
        }

        long size = RoundUp(length, pageBytes);
        long align = Math.Max(pageBytes, size >= HugePageBytes ? HugePageBytes : PageBytes);
        bool fresh = _placedSince >= _refreshAt;
        if (fresh)
        {
            Refresh();
        }

        for (int collisions = 0; collisions < CollisionLimit;)
        {
            if ((size >= LargeBytes ? _gaps.Highest(size, align) : _gaps.Lowest(size, align)) is not { } candidate)
            {
                if (fresh)
                {
                    IsFull = true;
                    break;
                }

                Refresh();
                fresh = true;
                continue;
            }

            nint r = map(candidate);
            if (r < 0 && r != -(int)Errno.EEXIST)
            {
                return r;
            }

            _gaps.Take(candidate, candidate + size);
            if (r >= 0)
            {
                _placedSince++;
                return r;
            }

            if (++collisions == CollisionsBeforeRefresh && !fresh)
            {
                Refresh();
                fresh = true;
            }
        }

        return -(int)Errno.ENOMEM;
    }

    private void Refresh()
    {
        _taken.Clear();
        int looked = _read(_start, _end, _taken);
        _gaps.Reset(_start, _end, _taken);
        _refreshAt = Math.Max(RefreshPlacements, looked);
        _placedSince = 0;
        Refreshes++;
    }

    private static long RoundUp(long length, long unit) => (length + unit - 1) & -unit;
}
