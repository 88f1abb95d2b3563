using Rpal.Hosting.Loading;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Broker;

/// <summary>How near the family is to vm.max_map_count, which counts the mappings of all members together.</summary>
/// <remarks>
/// At the limit every mmap and mprotect fails, the host's runtime's too. So the last sixteenth is kept for those who have less than an
/// equal share: a member that has more gets ENOMEM before the others feel it. Counting reads all of /proc/self/maps (65,000 lines take
/// some 20 ms); it is done again when half of what was left could be gone. What mprotect and fixed mappings split is only
/// seen then. Used by all broker threads.
/// </remarks>
internal sealed class MappingBudget(int limit, Func<int> count)
{
    /// <summary>Placements between two counts, at least.</summary>
    public const int CountEvery = 256;

    /// <summary>Of the limit, this part is kept.</summary>
    private const int ReservedPart = 16;

    /// <summary>Between two looks whether this was the cause of a failure.</summary>
    private const int LookEveryMs = 1000;

    private long _looked;
    private long _placed, _countAt = CountEvery;
    private volatile int _counted;
    private int _told;

    public MappingBudget()
        : this(int.TryParse(File.ReadAllText("/proc/sys/vm/max_map_count"), out int limit) ? limit : int.MaxValue, AddressMap.Count)
    {
    }

    public int Limit => limit;

    private int Start => limit - limit / ReservedPart;

    /// <summary>Whether a member may have one more.</summary>
    /// <param name="hasFewerThan">Whether it has fewer mappings than that; asked only when few are left.</param>
    public bool Allows(Func<int, bool> hasFewerThan)
    {
        if (Interlocked.Increment(ref _placed) >= Volatile.Read(ref _countAt))
        {
            _ = Count();
        }

        return _counted < Start || hasFewerThan(limit / FamilyLayout.MemberCapacity);
    }

    /// <summary>What the operator is to be told, or null: there is room, or it was said already.</summary>
    /// <param name="its">The mappings of the member whose call failed.</param>
    public string? Shortage(Func<int> its)
    {
        long now = Environment.TickCount64, last = Volatile.Read(ref _looked);
        if (Volatile.Read(ref _told) != 0 || (last != 0 && now - last < LookEveryMs))
        {
            return null;                                         // ENOMEM has other causes, and then comes often
        }

        Volatile.Write(ref _looked, now);
        return Count() >= Start && Interlocked.Exchange(ref _told, 1) == 0
            ? $"mmap fails (ENOMEM): the family has {_counted} mappings, {its()} of them this member; vm.max_map_count is {limit} for all, a sixteenth kept for small members. Raise it: sysctl -w vm.max_map_count={2L * limit}"
            : null;
    }

    private int Count()
    {
        int counted = _counted = count();
        Volatile.Write(ref _countAt, Volatile.Read(ref _placed) + Math.Max(CountEvery, (Start - counted) / 2));
        return counted;
    }
}
