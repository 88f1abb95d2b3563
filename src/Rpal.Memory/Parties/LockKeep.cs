using System.Runtime.ConstrainedExecution;
using Microsoft.Win32.SafeHandles;
using Rpal.Linux;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Parties;

/// <summary>
/// A mapping of the description that holds a party's lock: the lock lasts as long as the process's memory does, and not only as its
/// descriptors. In a family the two end at different times: the memory of a dead member stays mapped until the host takes its slot away,
/// and until then another member's kernel thread may execute a handler there.
/// </summary>
/// <remarks>No access is allowed to it, and a forked child does not get it: neither this process's nor another member's.</remarks>
internal sealed class LockKeep : CriticalFinalizerObject
{
    private const int SmallPageBytes = 4096, HugePageBytes = 0x20_0000;

    private readonly nuint _lengthBytes;
    private nint _address;

    /// <param name="locks">The description.</param>
    /// <param name="pages">The pages of its file: the mapping is one of them.</param>
    /// <exception cref="SegmentException">NoMemory; KernelRefused.</exception>
    public LockKeep(SafeFileHandle locks, PageKind pages)
    {
        using var use = new HandleUse(locks);
        _lengthBytes = (nuint)(pages == PageKind.Huge ? HugePageBytes : SmallPageBytes);
        _address = Sys.Mmap(0, _lengthBytes, Prot.None, MapFlags.Shared | MapFlags.NoReserve, use.Fd, 0);
        if (_address < 0)
        {
            throw Refused("mmap", (int)_address);
        }

        int r = Sys.Madvise(_address, _lengthBytes, MemoryAdvice.DontFork);
        if (r < 0)
        {
            Unmap();
            throw Refused("madvise, MADV_DONTFORK", r);
        }
    }

    ~LockKeep() => Unmap();

    /// <summary>Leaves its place alone in a forked child: the child has none, and something else may lie there.</summary>
    public void Forget() => Interlocked.Exchange(ref _address, 0);

    /// <summary>Unmaps it, once.</summary>
    public void Unmap()
    {
        nint address = Interlocked.Exchange(ref _address, 0);
        _ = address <= 0 ? 0 : Sys.Munmap(address, _lengthBytes);
    }

    private static SegmentException Refused(string call, int errno) =>
        new(errno == -(int)Errno.ENOMEM ? SegmentError.NoMemory : SegmentError.KernelRefused,
            $"Mapping a page of the segment's file, which keeps this process's lock as long as its memory ({call}): "
            + $"{ErrnoText.Describe(errno)}. ENOMEM: the process has as many mappings as vm.max_map_count allows, or no addresses left "
            + "(RLIMIT_AS).");
}
