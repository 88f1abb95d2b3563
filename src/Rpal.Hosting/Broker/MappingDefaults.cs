using Rpal.Hosting.Loading;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Broker;

/// <summary>
/// What one member asked for of all its mappings (mlockall(2), PR_SET_THP_DISABLE). The kernel keeps that for an address space, so here it
/// is done
/// to each of the member's mappings: those that it has, and those that the host places for it from then on.
/// </summary>
/// <remarks>Mappings at fixed addresses, which the kernel makes without the host, are not seen. Used by the member's broker
/// thread.</remarks>
internal sealed class MappingDefaults(SlotSpace space, Notices notices)
{
    private readonly List<(long Start, long End)> _mappings = [];
    private FutureLock _lock;

    private enum FutureLock
    {
        No,
        OnFault,
        Filled,
    }

    /// <summary>PR_GET_THP_DISABLE.</summary>
    public bool AvoidsHugePages { get; private set; }

    /// <summary>mlockall(2).</summary>
    /// <param name="flags">See <see cref="LockFlags"/>.</param>
    public nint LockAll(int flags)
    {
        const int known = LockFlags.Current | LockFlags.Future | LockFlags.OnFault;
        if (flags == 0 || (flags & ~known) != 0 || flags == LockFlags.OnFault)
        {
            return -(int)Errno.EINVAL;
        }

        long limit = HostCapabilities.MayLock ? Sys.NoLimit : Sys.Limit(Resource.LockedMemory);
        if (limit == 0)
        {
            return -(int)Errno.EPERM;
        }

        bool onFault = (flags & LockFlags.OnFault) != 0;
        int r = (flags & LockFlags.Current) != 0 ? LockPresent(limit, onFault) : 0;
        if (r < 0)
        {
            return r;
        }

        _lock = (flags & LockFlags.Future) == 0 ? FutureLock.No : onFault ? FutureLock.OnFault : FutureLock.Filled;
        return 0;
    }

    /// <summary>munlockall(2).</summary>
    public nint UnlockAll()
    {
        _lock = FutureLock.No;
        _ = Look();
        foreach ((long start, long end) in _mappings)
        {
            _ = Sys.Munlock((nint)start, (nuint)(end - start));  // ENOMEM: another thread has unmapped it
        }

        return 0;
    }

    /// <summary>PR_SET_THP_DISABLE. Mappings that have no huge pages keep none when it is taken back.</summary>
    public nint AvoidHugePages(bool avoid)
    {
        AvoidsHugePages = avoid;
        _ = avoid ? Look() : 0;
        foreach ((long start, long end) in avoid ? _mappings : [])
        {
            _ = Sys.Madvise((nint)start, (nuint)(end - start), MemoryAdvice.NoHugePage);     // EINVAL: of a kind that never has any
        }

        return 0;
    }

    /// <summary>Does to a new mapping what the member asked for.</summary>
    /// <param name="mapped">Its address, or -errno.</param>
    /// <param name="length">Bytes.</param>
    /// <returns><paramref name="mapped"/>; -EAGAIN when it is over RLIMIT_MEMLOCK, and it is unmapped then.</returns>
    public nint Apply(nint mapped, nuint length)
    {
        if (mapped < 0)
        {
            return mapped;
        }

        if (AvoidsHugePages)
        {
            _ = Sys.Madvise(mapped, length, MemoryAdvice.NoHugePage);     // EINVAL: of a kind that never has any
        }

        if (_lock != FutureLock.No && Lock(mapped, (long)length, _lock == FutureLock.OnFault) < 0)
        {
            _ = Sys.Munmap(mapped, length);
            TellLimit("mmap after mlockall(MCL_FUTURE) fails (EAGAIN)", (long)length, Sys.Limit(Resource.LockedMemory));
            return -(int)Errno.EAGAIN;
        }

        return mapped;
    }

    /// <summary>Locks the mappings that the slot has: all, or none that was not locked before.</summary>
    /// <param name="limit">RLIMIT_MEMLOCK, which the kernel compares with what the whole family has locked.</param>
    /// <param name="onFault">See <see cref="Sys.Mlock"/>.</param>
    private int LockPresent(long limit, bool onFault)
    {
        long bytes = Look(), locked = limit == Sys.NoLimit ? 0 : AddressMap.LockedBytes();
        List<(long Start, long End)> before = locked == 0 ? [] : AddressMap.Locked(space.Base, space.Base + FamilyLayout.SlotBytes);
        int r = bytes - before.Sum(static m => m.End - m.Start) > limit - locked ? -(int)Errno.ENOMEM : 0;
        for (int i = 0; i < _mappings.Count && r == 0; i++)
        {
            (long start, long end) = _mappings[i];
            r = Lock(start, end - start, onFault);
            if (r < 0 && !IsMapped(start, end))
            {
                r = 0;                                           // another thread has unmapped it meanwhile
            }
            else if (r < 0)
            {
                foreach ((long from, long to) in _mappings.Take(i + 1).Except(before))
                {
                    _ = Sys.Munlock((nint)from, (nuint)(to - from));
                }
            }
        }

        if (r < 0)
        {
            TellLimit($"mlockall is refused ({(Errno)(-r)})", bytes, limit);
        }

        return r;
    }

    private void TellLimit(string what, long bytes, long limit) => notices.Once(NoticeKind.LockLimit,
        $"{what}: for {bytes >> 10} KiB; RLIMIT_MEMLOCK is {limit >> 10} KiB and holds for the sum of the family, which has locked {AddressMap.LockedBytes() >> 10} KiB. "
        + "Raise it for rpal (ulimit -l, LimitMEMLOCK=), or give rpal CAP_IPC_LOCK.");

    private static bool IsMapped(long start, long end)
    {
        List<(long Start, long End)> there = [];
        _ = AddressMap.Read(start, end, there);
        return there.Sum(m => Math.Min(m.End, end) - Math.Max(m.Start, start)) == end - start;
    }

    /// <summary>In two steps: only the first can fail for the limit, and pages that cannot be filled (a reservation's) are no error of
    /// mlockall.</summary>
    /// <returns>0 or -errno.</returns>
    private static int Lock(long start, long length, bool onFault)
    {
        int r = Sys.Mlock((nint)start, (nuint)length, onFault: true);
        _ = r == 0 && !onFault ? Sys.Mlock((nint)start, (nuint)length, onFault: false) : 0;
        return r;
    }

    /// <summary>Reads the slot's mappings.</summary>
    /// <returns>Bytes of them.</returns>
    private long Look()
    {
        _mappings.Clear();
        _ = AddressMap.Read(space.Base, space.Base + FamilyLayout.SlotBytes, _mappings);
        return _mappings.Sum(static m => m.End - m.Start);
    }
}
