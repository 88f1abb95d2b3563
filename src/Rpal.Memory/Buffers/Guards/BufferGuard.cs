using Rpal.Linux;

namespace Rpal.Memory.Buffers.Guards;

/// <summary>Opens a buffer's bytes in this process with the first lease and closes them with the last.</summary>
internal abstract class BufferGuard
{
    private readonly Lock _lock = new();
    private int _leases;
    private bool _canWrite;

    /// <param name="address">The data's first byte, on a page.</param>
    /// <param name="roomBytes">Its whole pages.</param>
    protected BufferGuard(nint address, long roomBytes) => (Address, RoomBytes) = (address, (nuint)roomBytes);

    protected nint Address { get; }

    protected nuint RoomBytes { get; }

    /// <summary>Closes the bytes for the first time.</summary>
    public virtual void Begin()
    {
        // Another flag than its neighbours' keeps the range a mapping of its own: the kernel neither joins nor splits mappings at each lease.
        _ = Sys.Madvise(Address, RoomBytes, MemoryAdvice.DontDump);
        Close();
    }

    /// <summary>Before the bytes are used.</summary>
    /// <exception cref="OwnedBufferException">KernelRefused; they are closed as before.</exception>
    public virtual void Enter(bool write)
    {
        lock (_lock)
        {
            if (_leases == 0 || write && !_canWrite)
            {
                _canWrite = Open(write);
                KillPoints.Reach(KillPoint.BufferGuardOpened);
            }

            _leases++;
        }
    }

    /// <summary>After the buffer was given back.</summary>
    public virtual void Leave()
    {
        lock (_lock)
        {
            if (--_leases == 0)
            {
                Close();
                KillPoints.Reach(KillPoint.BufferGuardClosed);
            }
        }
    }

    /// <summary>Leaves the bytes accessible for good: the segment is closed.</summary>
    public virtual void End()
    {
        lock (_lock)
        {
            if (_leases == 0)
            {
                _ = Open(write: true);
            }

            _leases = int.MaxValue / 2;                          // nobody closes it any more
        }
    }

    /// <returns>Whether they can be written now.</returns>
    protected abstract bool Open(bool write);

    protected abstract void Close();

    protected static void Check(string call, nint result)
    {
        if (result < 0)
        {
            throw new OwnedBufferException(OwnedBufferError.KernelRefused, $"A guarded buffer could not be opened or closed ({call}: {ErrnoText.Describe((int)result)}). ENOMEM: the process has as many mappings as vm.max_map_count allows.");
        }
    }
}
