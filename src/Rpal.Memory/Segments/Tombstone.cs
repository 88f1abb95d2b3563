using System.Runtime.ConstrainedExecution;
using Rpal.Linux;

namespace Rpal.Memory.Segments;

/// <summary>
/// What lies where a closed segment lay: empty memory of this process, which belongs to nothing and takes no room until it is touched. A
/// thread that was in the middle of something finds zeroes there, and what it writes is nobody's. It goes when the segment's object goes,
/// which all that uses it refers to; nothing else is mapped there before.
/// </summary>
/// <remarks>
/// This is the only thing that unmaps a segment's memory behind its users. An object can be collected while a method of it runs, after the
/// method's last look at the object. So what works on raw addresses (pools, buffers, semaphores, seats, counters) looks at an object that
/// refers to the segment once more afterwards, or ends with <c>GC.KeepAlive</c> of the segment, which costs nothing. Machine code and
/// sched_getcpu are called without a transition: the collector waits for them.
/// </remarks>
internal sealed class Tombstone : CriticalFinalizerObject
{
    private const int Empty = MapFlags.Private | MapFlags.Anonymous | MapFlags.NoReserve;

    /// <summary>Longest wait for finalizers, any of which may hang: the place is not free then.</summary>
    private static readonly TimeSpan FinalizerPatience = TimeSpan.FromSeconds(2);

    private static readonly Lock s_lock = new();

    /// <summary>Places, not the objects, which would then never go.</summary>
    private static readonly HashSet<(nint Address, long LengthBytes)> s_places = [];

    private readonly (nint Address, long LengthBytes) _place;
    private readonly Action? _atEnd;

    private Tombstone((nint, long) place, Action? atEnd) => (_place, _atEnd) = (place, atEnd);

    ~Tombstone()
    {
        lock (s_lock)
        {
            s_places.Remove(_place);
            _ = Sys.Munmap(_place.Address, (nuint)_place.LengthBytes);
        }

        try
        {
            _atEnd?.Invoke();
        }
        catch (Exception e)
        {
            // Nobody called this, and an exception here would end the process.
            Console.Error.WriteLine($"rpal: a segment at 0x{_place.Address:x} whose memory could not be taken away when it was closed is "
                + $"gone now; a user of it failed at that: {e}");
        }
    }

    /// <summary>Replaces what is mapped there. Once it returns, no thread of this process can reach that.</summary>
    /// <param name="address">Where.</param>
    /// <param name="lengthBytes">All of it.</param>
    /// <param name="errno">0, or why the kernel refused, negative.</param>
    /// <returns>Null: the kernel refused, and what was mapped there stays.</returns>
    public static Tombstone? Put(nint address, long lengthBytes, out int errno)
    {
        lock (s_lock)
        {
            nint r = FillsNewMappings() ? MoveThere(address, (nuint)lengthBytes) : -(int)Errno.EAGAIN;
            r = r >= 0 ? r : Sys.Mmap(address, (nuint)lengthBytes, Prot.Read | Prot.Write, Empty | MapFlags.Fixed, -1, 0);
            errno = r < 0 ? (int)r : 0;
            return r < 0 ? null : Add(address, lengthBytes, null);
        }
    }

    /// <summary>Whether the kernel fills what is newly mapped at once: mlockall(2) with MCL_FUTURE.</summary>
    private static unsafe bool FillsNewMappings()
    {
        nint page = Sys.Mmap(0, (nuint)Environment.SystemPageSize, Prot.Read | Prot.Write, Empty, -1, 0);
        if (page < 0)
        {
            return false;
        }

        byte state = 0;
        bool fills = Sys.Mincore(page, (nuint)Environment.SystemPageSize, &state) == 0 && (state & 1) != 0;
        _ = Sys.Munmap(page, (nuint)Environment.SystemPageSize);
        return fills;
    }

    /// <summary>Makes it elsewhere, without access at first: the kernel fills nothing then. To the threads it comes in one step.</summary>
    /// <returns>The address, or -errno.</returns>
    private static nint MoveThere(nint address, nuint lengthBytes)
    {
        _ = Sys.Munlock(address, lengthBytes);                   // RLIMIT_MEMLOCK has room for one of them
        nint made = Sys.Mmap(0, lengthBytes, Prot.None, Empty, -1, 0);
        if (made < 0)
        {
            return made;
        }

        nint r = Sys.Munlock(made, lengthBytes);
        r = r < 0 ? r : Sys.Mprotect(made, lengthBytes, Prot.Read | Prot.Write);
        r = r < 0 ? r : Sys.Mremap(made, lengthBytes, lengthBytes, MremapFlags.MayMove | MremapFlags.Fixed, address);
        _ = r < 0 ? Sys.Munmap(made, lengthBytes) : 0;
        return r;
    }

    /// <summary>Leaves what is mapped there as long as the object: where none could be put.</summary>
    /// <param name="address">Where.</param>
    /// <param name="lengthBytes">All of it.</param>
    /// <param name="atEnd">Done once it is unmapped, by the collector's thread. What it throws is printed.</param>
    public static Tombstone Keep(nint address, long lengthBytes, Action atEnd)
    {
        lock (s_lock)
        {
            return Add(address, lengthBytes, atEnd);
        }
    }

    /// <summary>
    /// Has the collector look whether anything still refers to the segments that were closed there; if not, their place is free. Costs a
    /// full collection, and only where a segment is to lie just where another one of this process lay. Not to be called with a lock held.
    /// </summary>
    public static void MakeRoom(long address, long lengthBytes)
    {
        if (IsAt(address, lengthBytes))
        {
            GC.Collect();
            _ = Task.Run(GC.WaitForPendingFinalizers).Wait(FinalizerPatience);
        }
    }

    /// <summary>Whether there is one in that range.</summary>
    public static bool IsAt(long address, long lengthBytes)
    {
        lock (s_lock)
        {
            foreach ((nint at, long length) in s_places)
            {
                if (at < address + lengthBytes && address < at + length)
                {
                    return true;
                }
            }

            return false;
        }
    }

    private static Tombstone Add(nint address, long lengthBytes, Action? atEnd)
    {
        s_places.Add((address, lengthBytes));
        return new Tombstone((address, lengthBytes), atEnd);
    }
}
