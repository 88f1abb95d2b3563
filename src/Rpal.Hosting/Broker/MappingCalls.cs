using System.Runtime.CompilerServices;
using Rpal.Hosting.Loading;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Broker;

/// <summary>
/// The calls of one member that make, move or end mappings: without an address they are placed in the member's slot, at a fixed one the
/// kernel may do them there, outside they get the kernel's errors for what lies beyond the address space.
/// </summary>
/// <remarks>
/// Every call returns what the member is to see, an address or -errno, or null: the kernel may do it. Arguments are as the kernel has them,
/// unchecked. Used by the member's broker thread only.
/// </remarks>
internal sealed unsafe class MappingCalls
{
    private readonly CallerDescriptors _descriptors;
    private readonly SlotSpace _space;
    private readonly MappingBudget _budget;
    private readonly MappingDefaults _defaults;
    private readonly Notices _notices;

    public MappingCalls(int pid, int pidfd, SlotSpace space, MappingBudget budget, MappingDefaults defaults, Notices notices)
    {
        _descriptors = new CallerDescriptors(pid, pidfd);
        _space = space;
        _budget = budget;
        _defaults = defaults;
        _notices = notices;
    }

    /// <summary>Mappings placed so far.</summary>
    public long Placed { get; private set; }

    /// <summary>mmap(2).</summary>
    /// <param name="caller">Whose descriptor it is.</param>
    /// <param name="a">The call's six arguments.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]     // a member's start is waiting, and there may be only one
    public nint? Map(in Caller caller, ulong* a)
    {
        nint hint = (nint)a[0];
        nuint length = (nuint)a[1];
        int prot = (int)a[2], flags = (int)a[3];
        if ((flags & (MapFlags.Fixed | MapFlags.FixedNoreplace)) != 0)
        {
            return _space.Contains(hint, (nint)length) ? null : RefuseFixed(hint, (nint)length);
        }

        if ((flags & MapFlags.Low32Bit) != 0)
        {
            _notices.Once(NoticeKind.Low32Bit, "mmap with MAP_32BIT fails (ENOMEM): the low 2 GiB belong to no slot. Programs that cannot go on without (Mono) cannot be members.");
            return -(int)Errno.ENOMEM;
        }

        int fd = -1;
        if ((flags & MapFlags.Anonymous) == 0)
        {
            fd = _descriptors.Copy(caller, (int)a[4]);
            if (fd < 0)
            {
                return fd;
            }
        }

        try
        {
            Placed++;
            long offset = (long)a[5];
            nint MapHere(long where) => _defaults.Apply(MapAt((nint)where, length, prot, flags, fd, offset), length);
            long page = fd < 0 ? HugePages.BytesOf(flags) : 0;
            nint r = Place(hint & ~4095, (nint)length, MapHere, page);
            return r == -(int)Errno.EINVAL && fd >= 0 && (page = Sys.HugePageBytesOf(fd)) > 0 ? Place(0, (nint)length, MapHere, page) : r;
        }
        finally
        {
            if (fd >= 0)
            {
                _ = Sys.Close(fd);
            }
        }
    }

    /// <summary>munmap(2).</summary>
    public nint? Unmap(nint address, nint length) => _space.Contains(address, length) ? null : -(int)Errno.EINVAL;

    /// <summary>The other calls of a range or address: the kernel may do them in the slot.</summary>
    /// <param name="number">Which.</param>
    /// <param name="address">Where.</param>
    /// <param name="length">Bytes.</param>
    public nint? InSlot(long number, nint address, nint length) => _space.Contains(address, length) ? null : -(int)(number switch
    {
        SyscallNumber.Mbind => Errno.EFAULT,
        SyscallNumber.SetMempolicyHomeNode => Errno.ENOENT,
        SyscallNumber.Mlock or SyscallNumber.Mlock2 or SyscallNumber.Munlock => Errno.ENOMEM,
        _ => Errno.EINVAL,
    });

    /// <summary>mremap(2): <paramref name="a"/> are its five arguments.</summary>
    public nint? Remap(ulong* a)
    {
        nint old = (nint)a[0];
        nuint oldLength = (nuint)a[1], newLength = (nuint)a[2];
        int flags = (int)a[3];
        if (!_space.Contains(old, (nint)oldLength))
        {
            return -(int)Errno.EFAULT;
        }

        if ((flags & MremapFlags.Fixed) != 0 && !_space.Contains((nint)a[4], (nint)newLength))
        {
            return -(int)Errno.EINVAL;
        }

        bool inPlace = _space.Contains(old, (nint)newLength);
        if ((flags & MremapFlags.MayMove) == 0 && !inPlace)
        {
            return -(int)Errno.ENOMEM;                           // the kernel would let it grow into the next slot
        }

        const int understood = MremapFlags.MayMove | MremapFlags.DontUnmap;
        if ((flags & MremapFlags.MayMove) == 0 || (flags & ~understood) != 0)
        {
            return null;
        }

        nint r = inPlace && (flags & MremapFlags.DontUnmap) == 0 ? Sys.Mremap(old, oldLength, newLength, 0, 0) : -(int)Errno.ENOMEM;
        return r != -(int)Errno.ENOMEM ? r : Place(0, (nint)newLength, where =>
        {
            nint reserved = Sys.Mmap((nint)where, newLength, Prot.None, MapFlags.Private | MapFlags.Anonymous | MapFlags.NoReserve | MapFlags.FixedNoreplace, -1, 0);
            if (reserved < 0)
            {
                return reserved;
            }

            nint moved = Sys.Mremap(old, oldLength, newLength, flags | MremapFlags.Fixed, (nint)where);
            if (moved < 0)
            {
                _ = Sys.Munmap((nint)where, newLength);
            }

            return moved;
        });
    }

    /// <summary>shmat(2): <paramref name="a"/> are its three arguments.</summary>
    public nint? AttachShared(ulong* a)
    {
        int id = (int)a[0], flags = (int)a[2];
        long size = SharedMemorySize(id);
        if (a[1] != 0)
        {
            return _space.Contains((nint)a[1], Math.Max(size, 0)) ? null : -(int)Errno.EINVAL;
        }

        return size < 0 ? (nint)size : Place(0, size, where =>
        {
            nint r = Sys.Shmat(id, (nint)where, flags);
            return r == -(int)Errno.EINVAL ? -(int)Errno.EEXIST : r;     // shmat says EINVAL for an occupied address
        });
    }

    /// <summary>At the member's wish when there is room, else where the slot has some. Says once why there is none.</summary>
    /// <param name="hint">Where it would like to lie; 0: anywhere.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="map">See <see cref="SlotSpace.Place"/>.</param>
    /// <param name="pageBytes">Of huge pages; 0: ordinary ones.</param>
    private nint Place(long hint, long length, Func<long, nint> map, long pageBytes = 0)
    {
        if (!_budget.Allows(_space.HasFewerMappingsThan))
        {
            _notices.Add(_budget.Shortage(() => _space.Usage().Mappings));
            return -(int)Errno.ENOMEM;
        }

        if (hint != 0 && pageBytes == 0 && _space.Contains(hint, length))
        {
            nint wished = map(hint);
            if (wished >= 0)
            {
                _space.Took(wished, length);
            }

            if (wished != -(int)Errno.EEXIST)
            {
                return wished;
            }
        }

        nint r = pageBytes == 0 ? _space.Place(length, map) : _space.Place(length, map, pageBytes);
        if (r == -(int)Errno.ENOMEM)
        {
            NoteShortage(length);
        }

        return r;
    }

    private void NoteShortage(long length)
    {
        const long plausibleBytes = 1L << 46;                    // more than that nobody has anywhere
        if (!_space.IsFull)
        {
            _notices.Add(_budget.Shortage(() => _space.Usage().Mappings));
        }
        else if (!_notices.HasTold(NoticeKind.SlotFull) && length is > 0 and < plausibleBytes)
        {
            (int mappings, long bytes) = _space.Usage();
            _notices.Once(NoticeKind.SlotFull, $"mmap of {length} bytes fails (ENOMEM): no room in its slot of {FamilyLayout.SlotBytes >> 30} GiB, where {mappings} mappings take {bytes >> 30} GiB. The slot's size is fixed; reserve less (for .NET: DOTNET_GCRegionRange, DOTNET_GCHeapHardLimit).");
        }
    }

    private nint RefuseFixed(long address, long length)
    {
        _notices.Once(NoticeKind.FixedAddress, $"mmap of {length} bytes at the fixed address 0x{address:x} fails (ENOMEM): it lies outside its slot, 0x{_space.Base:x} to 0x{_space.Base + FamilyLayout.SlotBytes:x}. Programs that need fixed addresses (AddressSanitizer, for example) cannot be members.");
        return -(int)Errno.ENOMEM;
    }

    /// <summary>mmap(2) at an address where nothing lies yet. MAP_SHARED_VALIDATE refuses flags that the file does not know, MAP_FIXED_NOREPLACE
    /// among them: there the place is taken first and replaced then.</summary>
    private static nint MapAt(nint where, nuint length, int prot, int flags, int fd, long offset)
    {
        if (fd < 0 || (flags & MapFlags.SharedValidate) != MapFlags.SharedValidate)
        {
            return Sys.Mmap(where, length, prot, flags | MapFlags.FixedNoreplace, fd, offset);
        }

        nint taken = Sys.Mmap(where, length, Prot.None, MapFlags.Private | MapFlags.Anonymous | MapFlags.NoReserve | MapFlags.FixedNoreplace, -1, 0);
        nint mapped = taken < 0 ? taken : Sys.Mmap(where, length, prot, flags | MapFlags.Fixed, fd, offset);
        if (taken >= 0 && mapped < 0)
        {
            _ = Sys.Munmap(where, length);
        }

        return mapped;
    }

    private static long SharedMemorySize(int id)
    {
        foreach (string line in File.ReadLines("/proc/sysvipc/shm").Skip(1))
        {
            string[] columns = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (columns.Length > 3 && columns[1] == id.ToString())
            {
                return long.Parse(columns[3]);
            }
        }

        return -(int)Errno.EINVAL;
    }
}
