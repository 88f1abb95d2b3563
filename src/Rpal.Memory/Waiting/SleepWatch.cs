namespace Rpal.Memory.Waiting;

/// <summary>The one thread of this process that looks whether a sleeper of ours was forgotten: its tokens have come, and whoever should have woken it has died.</summary>
/// <remarks>
/// <para>Nobody can wake for a process that was killed between changing a count and waking, or between being woken and taking: the kernel knows nothing of
/// it. Such a wake-up is made good by whoever clears the dead process away, or by this, whichever comes first. One thread for all, so that sleepers need no
/// timer each: arming one costs a sleep a tenth of its time, and a thousand sleepers would wake up four thousand times a second for nothing.</para>
/// <code>
///           first sleeper                     LingerLooks without a sleeper
/// (none) ────────────────► looking ─────────────────────────────────────────► resting
///                             ▲                  next sleeper                    │
///                             └──────────────────────────────────────────────────┘
/// </code>
/// </remarks>
internal static class SleepWatch
{
    /// <summary>A wake-up that died with its process is made good within this time.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(250);

    /// <summary>Looks that find no sleeper before it rests: rousing it costs a sleeper a system call.</summary>
    public const int LingerLooks = 40;

    private static readonly Lock s_lock = new();                 // taken before a seat's and an announcement's
    private static readonly List<SegmentWaits> s_segments = [];
    private static readonly AutoResetEvent s_rouse = new(initialState: false);
    private static Thread? s_thread;
    private static bool s_resting;

    /// <summary>From now on sleepers in a segment are looked after.</summary>
    /// <exception cref="OutOfMemoryException">The thread could not be started.</exception>
    public static void Add(SegmentWaits segment)
    {
        lock (s_lock)
        {
            if (s_thread is null)
            {
                var thread = new Thread(Run) { IsBackground = true, Name = "rpal-sleep-watch" };
                thread.Start();
                s_thread = thread;
            }

            s_segments.Add(segment);
        }

        Rouse();
    }

    /// <summary>No more; once this returns, nobody looks there.</summary>
    public static void Remove(SegmentWaits segment)
    {
        lock (s_lock)
        {
            s_segments.Remove(segment);
        }
    }

    /// <summary>For changes that a look must not see half done.</summary>
    public static Lock.Scope Hold() => s_lock.EnterScope();

    /// <summary>Somebody is about to sleep and has counted itself by a locked instruction. SYNC resting: pairs with Run.</summary>
    public static void Rouse()
    {
        if (Volatile.Read(ref s_resting) && Interlocked.Exchange(ref s_resting, false))
        {
            s_rouse.Set();
        }
    }

    private static void Run()
    {
        int idle = 0;
        while (true)
        {
            if (Look())
            {
                idle = 0;
            }
            else if (++idle >= LingerLooks)
            {
                Interlocked.Exchange(ref s_resting, true);       // SYNC resting: pairs with Rouse; then one more look
                if (!Look())
                {
                    s_rouse.WaitOne();
                }

                Volatile.Write(ref s_resting, false);
                idle = 0;
            }

            s_rouse.WaitOne(Interval);                           // a call of Rouse that came too late ends it early: one look more
        }
    }

    private static bool Look()
    {
        bool asleep = false;
        lock (s_lock)
        {
            foreach (SegmentWaits segment in s_segments)
            {
                asleep |= segment.LookForForgotten();
            }

            s_segments.RemoveAll(static s => s.IsOver);
        }

        return asleep;
    }
}
