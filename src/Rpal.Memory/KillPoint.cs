using System.Globalization;
using Rpal.Linux;

namespace Rpal.Memory;

/// <summary>Instants at which a test has a process killed: each lies between two steps of a protocol that others must survive the loss of.</summary>
/// <remarks>Numbers are for `RPAL_MEMORY_KILL_POINT`, which tests set: the process kills itself the first time it comes there (or, with `NUMBER:COUNT`, the COUNT-th).
/// Without it the check is a constant that the compiler removes.</remarks>
internal enum KillPoint
{
    None = 0,

    // Block pools: 1 to 19.

    /// <summary>Off the list, not yet claimed.</summary>
    PoolPopped = 1,

    /// <summary>Claimed, and nobody was told.</summary>
    PoolClaimed = 2,

    /// <summary>Announced as being freed, not yet on a list.</summary>
    PoolReleasing = 3,

    /// <summary>On a list or a lane, and still announced as being freed.</summary>
    PoolPushed = 4,

    /// <summary>Another's last step of a free was done, the block not popped.</summary>
    PoolHelped = 5,

    /// <summary>Offered, the receiver not yet looked at.</summary>
    PoolOffered = 6,

    /// <summary>Accepted, and nobody was told; of a chain, one of several.</summary>
    PoolAccepted = 7,

    /// <summary>A block of a chain is reserved, others are not.</summary>
    PoolChaining = 8,

    /// <summary>Recovery has begun.</summary>
    PoolRecovering = 9,

    /// <summary>Recovery has taken a block off a list.</summary>
    PoolEmptied = 10,

    /// <summary>Recovery is about to put a block back.</summary>
    PoolReturning = 11,

    /// <summary>Recovery has marked an offer of the dead one.</summary>
    PoolOrphaned = 12,

    /// <summary>Off a CPU's lane, not yet claimed.</summary>
    PoolLanePopped = 13,

    /// <summary>Pinned to another CPU to empty its lane, nothing done yet.</summary>
    PoolVisiting = 14,

    /// <summary>From another CPU's lane on the way to the common list.</summary>
    PoolRaided = 15,

    // Owned buffers: 21 to 35.
    BufferSeatClaimed = 21,
    BufferReadTaken = 22,
    BufferReadReleased = 23,
    BufferWriteTaken = 24,
    BufferWritten = 25,
    BufferWriteReleased = 26,
    BufferHandingOver = 27,
    BufferHandedOver = 28,
    BufferAccepted = 29,
    BufferRecovering = 30,
    BufferWaiting = 31,
    BufferGuardOpened = 32,
    BufferGuardClosed = 33,
    BufferHalfWritten = 34,                                      // reached by the tests' writers

    // Segments: 36 to 39.

    /// <summary>Room for a part is taken, nothing written.</summary>
    PartRoomTaken = 36,

    /// <summary>A part and its entry are written, and not counted.</summary>
    PartWritten = 37,

    // Semaphores: 41 to 59.

    /// <summary>A waiter has announced itself and not gone to sleep.</summary>
    WaitAnnounced = 41,

    /// <summary>A waiter has left its sleep and not taken anything.</summary>
    WaitWoken = 42,

    /// <summary>A waiter has taken one and still is announced.</summary>
    WaitTaken = 43,

    /// <summary>A releaser has raised the count and woken nobody.</summary>
    ReleaseCounted = 44,

    /// <summary>A releaser has woken sleepers and rung no bell.</summary>
    ReleaseWoken = 45,

    /// <summary>A releaser has set a set's bell, and not the summary.</summary>
    RingBell = 46,

    /// <summary>A releaser has set the summary and not looked whether the waiter sleeps.</summary>
    RingSummary = 47,

    /// <summary>A releaser has undertaken to wake a set's waiter, and has not.</summary>
    RingWake = 48,

    /// <summary>A set's waiter has said that it sleeps, and does not yet.</summary>
    SetParked = 49,

    /// <summary>A set's waiter has left its sleep and looked at nothing.</summary>
    SetWoken = 50,

    /// <summary>A set's waiter has taken bells away and not looked at the semaphores.</summary>
    SetBellsTaken = 51,

    /// <summary>A link to a set is written, and not in the mask.</summary>
    LinkWritten = 52,

    /// <summary>A link is out of the mask, and still written.</summary>
    LinkMasked = 53,

    /// <summary>A seat is claimed and not yet cleared of its former owner's bells.</summary>
    SeatClaimed = 54,

    /// <summary>A recoverer has cleared a dead party's bit, and woken nobody for it.</summary>
    RecoverCleared = 55,

    // Closing a segment: 61 to 64.

    /// <summary>A second view is mapped, and the first is still there.</summary>
    CloseViewed = 61,

    /// <summary>The tombstone lies in the first view's place, nothing is given back.</summary>
    CloseBuried = 62,

    /// <summary>All is given back, and the party's entry is still Active.</summary>
    CloseRecovered = 63,

    /// <summary>The party's entry is Free, and its lock still held.</summary>
    CloseFreed = 64,
}

internal static class KillPoints
{
    public const string Variable = "RPAL_MEMORY_KILL_POINT";

    private static readonly int s_armed = Word(0);
    private static int s_left = Math.Max(1, Word(1));

    /// <summary>Named where the process may be killed.</summary>
    public static void Reach(KillPoint point)
    {
        if (s_armed != 0 && s_armed == (int)point && Interlocked.Decrement(ref s_left) == 0)
        {
            _ = Sys.Kill(Sys.GetPid(), Signal.SIGKILL);
            Thread.Sleep(Timeout.Infinite);                      // another thread may be the one that takes the signal
        }
    }

    private static int Word(int index)
    {
        string[] words = (Environment.GetEnvironmentVariable(Variable) ?? "").Split(':');
        return words.Length > index && int.TryParse(words[index], CultureInfo.InvariantCulture, out int n) ? n : 0;
    }
}
