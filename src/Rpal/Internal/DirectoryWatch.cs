using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Internal;

/// <summary>Tells this process's subscribers when the family's directory of services changed: one thread for all of them, none while there are none.</summary>
/// <remarks>
/// SYNC directory: the host changes an entry, then bumps the sequence. A subscriber adds itself, then looks; the thread reads the sequence,
/// then tells those who are there. So a change is seen by the subscriber's first look or told after it.
/// </remarks>
internal static unsafe class DirectoryWatch
{
    /// <summary>How long the thread may outlive its last subscriber, when the wake-up for that came before it slept.</summary>
    private const long LingerNs = 1_000_000_000;

    private static readonly Lock s_lock = new();
    private static readonly List<Action> s_subscribers = [];
    private static uint s_told;
    private static bool s_running;

    /// <summary>Whether the thread runs.</summary>
    public static bool IsRunning
    {
        get
        {
            lock (s_lock)
            {
                return s_running;
            }
        }
    }

    /// <param name="changed">Called on the watching thread after a change, or without one: it must be short and not throw.</param>
    public static void Add(Action changed)
    {
        lock (s_lock)
        {
            s_subscribers.Add(changed);
            if (!s_running)
            {
                s_running = true;
                s_told = Volatile.Read(ref FamilyHeader.At->DirectorySequence);
                new Thread(Run) { IsBackground = true, Name = "rpal directory" }.UnsafeStart();
            }
        }
    }

    public static void Remove(Action changed)
    {
        lock (s_lock)
        {
            s_subscribers.Remove(changed);
            if (s_subscribers.Count == 0)
            {
                _ = Sys.FutexWake(&FamilyHeader.At->DirectorySequence, int.MaxValue);     // whoever else sleeps there looks and sleeps again
            }
        }
    }

    private static void Run()
    {
        uint* sequence = &FamilyHeader.At->DirectorySequence;
        while (true)
        {
            uint seen = Volatile.Read(ref *sequence);
            Action[] subscribers;
            lock (s_lock)
            {
                if (s_subscribers.Count == 0)
                {
                    s_running = false;
                    return;
                }

                subscribers = seen == s_told ? [] : [.. s_subscribers];
                s_told = seen;
            }

            foreach (Action changed in subscribers)
            {
                changed();
            }

            _ = Sys.FutexWait(sequence, seen, LingerNs);
        }
    }
}
