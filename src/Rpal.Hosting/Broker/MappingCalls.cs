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
    /// <summary>O_ACCMODE.</summary>
    private const int AccessMode = 3;

    /// <summary>PIDFD_THREAD, Linux 6.9.</summary>
    private const uint PidfdThread = 0x80;

    private readonly int _pid, _pidfd;
    private readonly SlotSpace _space;
    private readonly MappingBudget _budget;
    private string? _notice;
    private bool _toldFull, _toldFixed;

    public MappingCalls(int pid, int pidfd, SlotSpace space, MappingBudget budget)
    {
        _pid = pid;
        _pidfd = pidfd;
        _space = space;
        _budget = budget;
    }

    /// <summary>Mappings placed so far.</summary>
    public long Placed { get; private set; }

    /// <summary>What the operator is to be told since the last time, or null. Not told from here: the member waits for its answer.</summary>
    public string? TakeNotice()
    {
        string? notice = _notice;
        _notice = null;
        return notice;
    }

    /// <summary>mmap(2).</summary>
    /// <param name="tid">The thread that asks.</param>
    /// <param name="isMember">Whether it is one of the member's process.</param>
    /// <param name="a">The call's six arguments.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]     // a member's start is waiting, and there may be only one
    public nint? Map(int tid, bool isMember, ulong* a)
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
            return -(int)Errno.ENOMEM;                           // the low 2 GiB belong to no slot
        }

        int fd = -1;
        if ((flags & MapFlags.Anonymous) == 0)
        {
            fd = Descriptor((int)a[4], tid, isMember);
            if (fd < 0)
            {
                return fd;
            }
        }

        try
        {
            Placed++;
            long offset = (long)a[5];
            return Place(hint & ~4095, (nint)length, where => MapAt((nint)where, length, prot, flags, fd, offset));
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
    private nint Place(long hint, long length, Func<long, nint> map)
    {
        if (!_budget.Allows(_space.HasFewerMappingsThan))
        {
            _notice = _budget.Shortage(() => _space.Usage().Mappings);
            return -(int)Errno.ENOMEM;
        }

        if (hint != 0 && _space.Contains(hint, length))
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

        nint r = _space.Place(length, map);
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
            _notice = _budget.Shortage(() => _space.Usage().Mappings);
        }
        else if (!_toldFull && length is > 0 and < plausibleBytes)
        {
            _toldFull = true;
            (int mappings, long bytes) = _space.Usage();
            _notice = $"mmap of {length} bytes fails (ENOMEM): no room in its slot of {FamilyLayout.SlotBytes >> 30} GiB, where {mappings} mappings take {bytes >> 30} GiB. The slot's size is fixed; reserve less (for .NET: DOTNET_GCRegionRange, DOTNET_GCHeapHardLimit).";
        }
    }

    private nint RefuseFixed(long address, long length)
    {
        if (!_toldFixed)
        {
            _toldFixed = true;
            _notice = $"mmap of {length} bytes at the fixed address 0x{address:x} fails (ENOMEM): it lies outside its slot, 0x{_space.Base:x} to 0x{_space.Base + FamilyLayout.SlotBytes:x}. Programs that need fixed addresses (AddressSanitizer, for example) cannot be members.";
        }

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

    /// <summary>The caller's descriptor as one of ours. pidfd_getfd needs CAP_SYS_PTRACE under Docker's default profile; /proc does not.</summary>
    /// <remarks>A main thread that has ended before its process has no descriptors any more: then the calling thread's own are asked.</remarks>
    private int Descriptor(int fd, int tid, bool isMember)
    {
        if (isMember)
        {
            int got = Sys.PidfdGetfd(_pidfd, fd, 0);
            if (got >= 0 || (got == -(int)Errno.EBADF && tid == _pid))
            {
                return got;
            }
        }

        int pidfd = Sys.PidfdOpen(tid, isMember ? PidfdThread : 0);
        if (pidfd >= 0)
        {
            int got = Sys.PidfdGetfd(pidfd, fd, 0);
            _ = Sys.Close(pidfd);
            if (got >= 0 || got == -(int)Errno.EBADF)
            {
                return got;
            }
        }

        return pidfd == -(int)Errno.EMFILE ? throw new IOException(ErrnoText.Describe(pidfd)) : Reopen(tid, fd);
    }

    /// <summary>With the access that the member's own descriptor has: it decides what may be mapped, also by mprotect later.</summary>
    private static int Reopen(int tid, int fd)
    {
        string? line;
        try
        {
            line = File.ReadLines($"/proc/{tid}/fdinfo/{fd}").FirstOrDefault(l => l.StartsWith("flags:", StringComparison.Ordinal));
        }
        catch (IOException)
        {
            line = null;                                         // no such descriptor, or its owner has just ended
        }

        if (line is null)
        {
            return -(int)Errno.EBADF;
        }

        int flags = Convert.ToInt32(line[6..].Trim(), 8), access = flags & AccessMode;
        return (flags & OpenFlags.Path) != 0
            ? -(int)Errno.EBADF
            : Sys.Open($"/proc/{tid}/fd/{fd}", access | OpenFlags.CloseOnExec | OpenFlags.NonBlocking);
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
