using System.Runtime.ConstrainedExecution;
using Rpal.Linux;

namespace Rpal.Memory.Segments;

/// <summary>
/// What lies where a closed segment lay: empty memory of this process, which belongs to nothing and takes no room until it is touched. A thread that was in the middle of something finds zeroes
/// there. It goes when the segment's object goes, which all that uses it refers to, or when the same segment, or one of its length, comes to lie there.
/// </summary>
internal sealed class Tombstone : CriticalFinalizerObject
{
    private static readonly Lock s_lock = new();

    /// <summary>By place, which of them: not the objects, which would then never go.</summary>
    private static readonly Dictionary<(nint Address, long LengthBytes), long> s_all = [];
    private static long s_last;

    private readonly (nint Address, long LengthBytes) _place;
    private readonly long _number;

    private Tombstone((nint, long) place, long number) => (_place, _number) = (place, number);

    ~Tombstone()
    {
        lock (s_lock)
        {
            if (s_all.TryGetValue(_place, out long number) && number == _number)
            {
                s_all.Remove(_place);
                _ = Sys.Munmap(_place.Address, (nuint)_place.LengthBytes);
            }
        }
    }

    /// <summary>In place of what is mapped there.</summary>
    /// <returns>Null: the kernel refused, and what was mapped there stays.</returns>
    public static Tombstone? Put(nint address, long lengthBytes)
    {
        lock (s_lock)
        {
            if (Sys.Mmap(address, (nuint)lengthBytes, Prot.Read | Prot.Write, MapFlags.Private | MapFlags.Anonymous | MapFlags.NoReserve | MapFlags.Fixed, -1, 0) < 0)
            {
                return null;
            }

            s_all[(address, lengthBytes)] = ++s_last;
            return new Tombstone((address, lengthBytes), s_last);
        }
    }

    /// <summary>Whether just that place is one's.</summary>
    public static bool IsAt(long address, long lengthBytes)
    {
        lock (s_lock)
        {
            return s_all.ContainsKey(((nint)address, lengthBytes));
        }
    }

    /// <summary>Maps something in its place.</summary>
    /// <returns>As mmap(2); 0: there is none.</returns>
    public static nint Replace(long address, long lengthBytes, int fd)
    {
        lock (s_lock)
        {
            if (!s_all.ContainsKey(((nint)address, lengthBytes)))
            {
                return 0;
            }

            nint at = Sys.Mmap((nint)address, (nuint)lengthBytes, Prot.Read | Prot.Write, MapFlags.Shared | MapFlags.Fixed, fd, 0);
            if (at >= 0)
            {
                s_all.Remove(((nint)address, lengthBytes));
            }

            return at;
        }
    }
}
