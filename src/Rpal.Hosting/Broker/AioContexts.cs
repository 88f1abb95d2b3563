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
///              │ member's end                    │ member's end: whether the kernel has done it is not known
///              ▼                                 ▼
///          destroyed here                    Destroying ── destroyed here, or it was ──► forgotten
/// </code>
/// Destroying waits for the requests under way, as a process's end does, so it happens outside the lock. Who is given the number of a
/// context that is Destroying leaves that and takes another.
/// Comes back: a context's number, as soon as the kernel has destroyed it. Used by all members' threads.
/// </remarks>
internal sealed unsafe class AioContexts
{
    private readonly Lock _lock = new();
    private readonly int _hostPid = Environment.ProcessId;
    private readonly Dictionary<nint, Context> _contexts = [];

    private enum State
    {
        Live,
        Leaving,
        Destroying,
    }

    private readonly record struct Context(int Slot, State State);

    /// <summary>io_setup(2).</summary>
    public delegate int SetupCall(uint events, out nint context);

    /// <summary>Makes contexts.</summary>
    public SetupCall Setup { private get; init; } = Sys.IoSetup;

    /// <summary>Ends contexts, io_destroy(2).</summary>
    public Func<nint, int> Destroy { private get; init; } = Sys.IoDestroy;

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
            int r = Make(events, out nint context);
            if (r < 0)
            {
                return r;
            }

            if (Sys.ProcessVmWritev(_hostPid, result, &context, (nuint)sizeof(nint)) != sizeof(nint))
            {
                _ = Destroy(context);                            // nobody has used it: there is nothing to wait for
                return -(int)Errno.EFAULT;
            }

            _contexts[context] = new Context(slot, State.Live);
            return 0;
        }
    }

    /// <summary>io_destroy(2) is about to be done by the kernel.</summary>
    public void Leaving(nint context)
    {
        lock (_lock)
        {
            if (_contexts.TryGetValue(context, out Context known) && known.State == State.Live)
            {
                _contexts[context] = known with { State = State.Leaving };
            }
        }
    }

    /// <summary>Destroys those of a member whose process is gone. Returns when their requests have been done.</summary>
    public void DestroyOf(int slot)
    {
        List<nint> ended = [], uncertain = [];
        lock (_lock)
        {
            foreach ((nint context, Context known) in _contexts.Where(c => c.Value.Slot == slot).ToArray())
            {
                if (known.State == State.Live)
                {
                    _ = _contexts.Remove(context);
                    ended.Add(context);
                }
                else
                {
                    _contexts[context] = known with { State = State.Destroying };
                    uncertain.Add(context);
                }
            }
        }

        foreach (nint context in (IEnumerable<nint>)[.. ended, .. uncertain])
        {
            _ = Destroy(context);                                // EINVAL when the member's own io_destroy was done
        }

        lock (_lock)
        {
            uncertain.ForEach(c => _ = _contexts.Remove(c));
        }
    }

    /// <summary>A context with a number that nobody is about to destroy. Called with the lock held.</summary>
    /// <remarks>A number that is Destroying comes at most twice: before the destroyer's call, which may take the one that was made here, and
    /// after it. What is made with such a number is kept until there is another, and has no requests.</remarks>
    private int Make(uint events, out nint context)
    {
        List<nint> others = [];
        int attempts = 1 + 2 * _contexts.Count(static c => c.Value.State == State.Destroying), r;
        while ((r = Setup(events, out context)) >= 0 && _contexts.TryGetValue(context, out Context known) && known.State == State.Destroying)
        {
            others.Add(context);
            if (--attempts == 0)
            {
                r = -(int)Errno.EAGAIN;
                break;
            }
        }

        others.ForEach(c => _ = Destroy(c));
        return r;
    }
}
