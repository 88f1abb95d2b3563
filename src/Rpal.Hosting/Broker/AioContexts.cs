using Rpal.Linux;

namespace Rpal.Hosting.Broker;

/// <summary>The contexts for asynchronous input and output (io_setup(2)) of all members, so that each ends with its member.</summary>
/// <remarks>
/// A context belongs to the address space, which does not end with a member: its requests would go on while the next start of the
/// program writes the same file, and its share of fs.aio-max-nr would be gone for the machine. A context's number is the address of
/// its ring, which the kernel chooses, outside the slots, and gives away again. So contexts are made here, under a lock, and each
/// io_destroy is announced before the kernel does it:
/// <code>
/// Create ──► Live ── io_destroy announced ──► Leaving ── number given to another member ──► that member's, Live
///              │                                 │
///              └──────── member's end ───────────┴──► destroyed here; waits for its requests, as a process's end does
/// </code>
/// Used by all members' threads.
/// </remarks>
internal sealed unsafe class AioContexts
{
    private readonly Lock _lock = new();
    private readonly int _hostPid = Environment.ProcessId;
    private readonly Dictionary<nint, Context> _contexts = [];

    private readonly record struct Context(int Slot, bool IsLeaving);

    /// <summary>io_setup(2).</summary>
    /// <param name="slot">Whose it will be.</param>
    /// <param name="events">Requests at a time.</param>
    /// <param name="result">Where its number is to lie, a word that must be 0.</param>
    /// <returns>0 or -errno.</returns>
    public nint Create(int slot, uint events, nint result)
    {
        nint before;
        if (Sys.ProcessVmReadv(_hostPid, result, &before, (nuint)sizeof(nint)) != sizeof(nint))
        {
            return -(int)Errno.EFAULT;
        }

        if (before != 0)
        {
            return -(int)Errno.EINVAL;
        }

        lock (_lock)
        {
            int r = Sys.IoSetup(events, out nint context);
            if (r < 0)
            {
                return r;
            }

            if (Sys.ProcessVmWritev(_hostPid, result, &context, (nuint)sizeof(nint)) != sizeof(nint))
            {
                _ = Sys.IoDestroy(context);
                return -(int)Errno.EFAULT;
            }

            _contexts[context] = new Context(slot, IsLeaving: false);
            return 0;
        }
    }

    /// <summary>io_destroy(2) is about to be done by the kernel.</summary>
    public void Leaving(nint context)
    {
        lock (_lock)
        {
            if (_contexts.TryGetValue(context, out Context known))
            {
                _contexts[context] = known with { IsLeaving = true };
            }
        }
    }

    /// <summary>Destroys those of a member whose process is gone. Returns when their requests have been done.</summary>
    public void DestroyOf(int slot)
    {
        List<nint> live = [];
        lock (_lock)
        {
            foreach ((nint context, Context known) in _contexts.Where(c => c.Value.Slot == slot).ToArray())
            {
                _ = _contexts.Remove(context);
                if (known.IsLeaving)
                {
                    _ = Sys.IoDestroy(context);                  // EINVAL when it was done; nobody gets the number meanwhile
                }
                else
                {
                    live.Add(context);
                }
            }
        }

        live.ForEach(static c => _ = Sys.IoDestroy(c));
    }
}
