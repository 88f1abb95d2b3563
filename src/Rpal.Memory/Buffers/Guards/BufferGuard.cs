using Rpal.Linux;

namespace Rpal.Memory.Buffers.Guards;

/// <summary>Opens a buffer's bytes in this process with the first lease and closes them with the last.</summary>
internal abstract class BufferGuard
{
    private readonly Lock _lock = new();
    private int _leases;
    private bool _canWrite;
    private bool _isFrozen;

    /// <param name="address">The data's first byte, on a page.</param>
    /// <param name="roomBytes">Its whole pages.</param>
    protected BufferGuard(nint address, long roomBytes) => (Address, RoomBytes) = (address, (nuint)roomBytes);

    protected nint Address { get; }

    protected nuint RoomBytes { get; }

    /// <summary>Whether the bytes are closed, or with <see cref="MoveGuard"/> elsewhere.</summary>
    protected bool IsShut { get; private set; }

    /// <summary>Whether the segment is being closed.</summary>
    protected bool IsFrozen => Volatile.Read(ref _isFrozen);

    /// <summary>Closes the bytes for the first time.</summary>
    /// <exception cref="OwnedBufferException">KernelRefused; they are open as before.</exception>
    /// <exception cref="ObjectDisposedException">The segment is being closed.</exception>
    public void Begin()
    {
        lock (_lock)
        {
            ThrowIfFrozen();
            BeginLocked();
        }
    }

    /// <summary>Opens the bytes before they are used.</summary>
    /// <exception cref="OwnedBufferException">KernelRefused; they are closed as before.</exception>
    /// <exception cref="ObjectDisposedException">The segment is being closed.</exception>
    public virtual void Enter(bool write)
    {
        lock (_lock)
        {
            ThrowIfFrozen();
            if (_leases == 0 || write && !_canWrite)
            {
                _canWrite = Open(write);
                IsShut = false;
                KillPoints.Reach(KillPoint.BufferGuardOpened);
            }

            _leases++;
        }
    }

    /// <summary>Closes them after the buffer was given back.</summary>
    public virtual void Leave()
    {
        lock (_lock)
        {
            if (--_leases == 0 && !_isFrozen)
            {
                Close();
                IsShut = true;
                KillPoints.Reach(KillPoint.BufferGuardClosed);
            }
        }
    }

    /// <summary>Leaves the bytes as they are from now on: the segment is being closed, and what comes in their place must not be moved or
    /// opened.</summary>
    public void Freeze()
    {
        lock (_lock)
        {
            Volatile.Write(ref _isFrozen, true);
        }
    }

    /// <summary>Gives back what lies elsewhere: the segment's memory is gone.</summary>
    public virtual void End()
    {
    }

    protected void ThrowIfFrozen() => ObjectDisposedException.ThrowIf(IsFrozen, typeof(Segments.Segment));

    protected virtual void BeginLocked()
    {
        // Another flag than its neighbours' keeps the range a mapping of its own: the kernel neither joins nor splits mappings at each
        // lease.
        _ = Sys.Madvise(Address, RoomBytes, MemoryAdvice.DontDump);
        Close();
        IsShut = true;
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
