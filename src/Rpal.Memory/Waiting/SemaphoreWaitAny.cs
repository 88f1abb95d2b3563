using Rpal.Linux;

namespace Rpal.Memory.Waiting;

/// <summary>Waiting for any of a few semaphores: futex_waitv(2) sleeps on all their counts.</summary>
/// <remarks>
/// Such a waiter can be woken by one semaphore and take from another. The wake-up of the first was then another sleeper's: it is passed on.
/// </remarks>
internal static unsafe class SemaphoreWaitAny
{
    [ThreadStatic]
    private static uint t_turn;

    public static WaitStatus Run(ReadOnlySpan<SharedSemaphore> semaphores, TimeSpan timeout, out int index, CancellationToken cancellationToken)
    {
        if (semaphores.Length is < 1 or > SharedSemaphore.WaitAnyLimit)
        {
            throw new ArgumentException($"WaitAny waits for 1 to {SharedSemaphore.WaitAnyLimit} semaphores, not {semaphores.Length}. A {nameof(SemaphoreSet)} takes more.", nameof(semaphores));
        }

        WaitSlice.Demand(timeout);
        cancellationToken.ThrowIfCancellationRequested();
        WaitStatus status = Look(semaphores, out index);
        if (status != WaitStatus.TimedOut || timeout == TimeSpan.Zero)
        {
            return status;
        }

        long until = WaitSlice.Until(timeout);
        int taken = -1, announced = 0;
        try
        {
            for (; announced < semaphores.Length; announced++)
            {
                semaphores[announced].Announce();
            }

            status = Sleep(semaphores, until, out taken, cancellationToken);
            index = taken;
            return status;
        }
        finally
        {
            for (int i = 0; i < announced; i++)
            {
                semaphores[i].Withdraw();
                if (i != taken)
                {
                    semaphores[i].PassOn();
                }
            }
        }
    }

    private static WaitStatus Sleep(ReadOnlySpan<SharedSemaphore> semaphores, long until, out int index, CancellationToken cancellationToken)
    {
        FutexWaitv* words = stackalloc FutexWaitv[semaphores.Length];
        for (int i = 0; i < semaphores.Length; i++)
        {
            words[i] = new FutexWaitv { Word = (ulong)&semaphores[i].Block->Count, Flags = FutexWaitv.Size32 };
        }

        while (true)
        {
            WaitStatus status = Look(semaphores, out index);
            if (status != WaitStatus.TimedOut)
            {
                return status;
            }

            cancellationToken.ThrowIfCancellationRequested();
            long sliceNs = WaitSlice.Of(until, cancellationToken);
            if (sliceNs == 0)
            {
                return WaitStatus.TimedOut;
            }

            KillPoints.Reach(KillPoint.WaitAnnounced);
            int r = Sys.FutexWaitv(words, semaphores.Length, sliceNs == WaitSlice.Endless ? -1 : WaitSlice.Now + Math.Min(sliceNs, long.MaxValue - WaitSlice.Now));
            KillPoints.Reach(KillPoint.WaitWoken);
            if (-r is (int)Errno.ENOSYS or (int)Errno.EPERM)
            {
                // Before Linux 5.16, or behind a filter: the others are looked at each time.
                r = Sys.FutexWaitShared((uint*)words[0].Word, 0, sliceNs == WaitSlice.Endless ? WaitSlice.PollNs : Math.Min(sliceNs, WaitSlice.PollNs));
            }

            WaitSlice.Check(r);
        }
    }

    private static WaitStatus Look(ReadOnlySpan<SharedSemaphore> semaphores, out int index)
    {
        uint turn = t_turn++;
        for (int i = 0; i < semaphores.Length; i++)
        {
            index = (int)((turn + (uint)i) % (uint)semaphores.Length);
            WaitStatus status = semaphores[index].TryWait();
            if (status != WaitStatus.TimedOut)
            {
                t_turn = (uint)index + 1;
                return status;
            }
        }

        index = -1;
        return WaitStatus.TimedOut;
    }
}
