/*
 * The doorbell of a set: whoever releases rings; the waiter sleeps on one word. No wake-up is lost, whichever releaser is killed where.
 *
 * Here                     In the code
 * ----                     -----------
 * count[m]                 the semaphores, one word of bells each: member 64 m
 * bell, summary, parked    SeatBlock
 * Releaser                 SharedSemaphore.Release, Doorbell.Ring: count, bell, summary, parked
 * Waiter                   SemaphoreSet.WaitLong, SetSeat.TryNext and Park: takes the summary, then the bells into its own memory, then looks at
 *                          the counts; parks, looks at the summary once more, sleeps
 * Recover                  Doorbell.RingAll, and what SleepWatch does in its place when nobody sweeps
 *
 * Plain stores (parked = 0 by the waiter) are followed by a locked instruction or a system call before the waiter sleeps again: a store buffer
 * adds nothing. The releaser's steps are locked, or loads after a locked one.
 *
 * Invariant (at rest): the waiter does not sleep while a member has tokens.
 *
 * Known-bad: BAD_BELL_FIRST     rings, then raises the count
 *            BAD_SUMMARY_FIRST  the summary, then the bell
 *            BAD_BELLS_FIRST    the waiter takes the bells, then clears the summary
 *            BAD_NO_LAST_LOOK   the waiter parks and sleeps without looking at the summary again
 *            BAD_NO_RECOVER     nobody makes good what a dead releaser still had to ring
 */

#ifndef RELEASES
#define RELEASES 2
#endif
#ifndef KILLS
#define KILLS 0
#endif

#define RELEASERS 2

byte count[2];
bit  bell[2];
bit  summary[2];
bit  parked, asleep;
bit  killed[RELEASERS];
bit  gone[RELEASERS];                  /* only then its party's lock is free, and Recover begins */

inline wake() {
    if
    :: atomic { parked -> parked = 0 }; asleep = 0
    :: !parked
    fi
}

inline ring(m) {
#ifdef BAD_SUMMARY_FIRST
    summary[m] = 1;
    bell[m] = 1;
    wake()
#else
    if                                 /* a load, and a locked instruction only where the bit is clear */
    :: bell[m]
    :: !bell[m] -> bell[m] = 1
    fi;
    if
    :: summary[m]
    :: !summary[m] -> summary[m] = 1
    fi;
    wake()
#endif
}

proctype Releaser(byte me) {
    byte left = RELEASES;
    {
        do
        :: left == 0 -> break
        :: left > 0 ->
            left--;
            if                         /* any member */
            :: atomic {
#ifndef BAD_BELL_FIRST
                    count[0]++;
#endif
                    skip
                };
                ring(0);
#ifdef BAD_BELL_FIRST
                count[0]++;
#endif
                skip
            :: atomic {
#ifndef BAD_BELL_FIRST
                    count[1]++;
#endif
                    skip
                };
                ring(1);
#ifdef BAD_BELL_FIRST
                count[1]++;
#endif
                skip
            fi
        od
    } unless { killed[me] };
    gone[me] = 1
}

proctype Waiter() {
    bit seen[2], pending[2];
    byte w;
    do
    ::
        atomic { seen[0] = summary[0]; seen[1] = summary[1];
#ifndef BAD_BELLS_FIRST
            summary[0] = 0; summary[1] = 0;
#endif
            w = 0 };
        do
        :: w == 2 -> break
        :: w < 2 && seen[w] -> atomic { pending[w] = pending[w] | bell[w]; bell[w] = 0; w++ }
        :: w < 2 && !seen[w] -> w++
        od;
#ifdef BAD_BELLS_FIRST
        atomic { summary[0] = 0; summary[1] = 0 };
#endif
        if
        :: pending[0] -> if :: atomic { count[0] > 0 -> count[0]-- } :: count[0] == 0 -> pending[0] = 0 fi
        :: pending[1] -> if :: atomic { count[1] > 0 -> count[1]-- } :: count[1] == 0 -> pending[1] = 0 fi
        :: !pending[0] && !pending[1] ->
            parked = 1;
            if
#ifndef BAD_NO_LAST_LOOK
            :: summary[0] || summary[1]
            :: !summary[0] && !summary[1] ->
#else
            :: true ->
#endif
                atomic { if :: parked -> asleep = 1 :: else fi };
end:            !asleep
            fi;
            parked = 0
        fi
    od
}

proctype Recover(byte dead) {
    gone[dead];
#ifndef BAD_NO_RECOVER
    bell[0] = 1; bell[1] = 1;
    atomic { summary[0] = 1; summary[1] = 1 };
    parked = 0;
    asleep = 0;
#endif
    skip
}

proctype Killer() {
    byte kills;
    do
    :: kills == KILLS -> break
    :: kills < KILLS ->
        if
        :: break
        :: atomic { !killed[0] -> killed[0] = 1; run Recover(0) }
        :: atomic { !killed[1] -> killed[1] = 1; run Recover(1) }
        fi;
        kills++
    od
}

proctype Rest() {
    timeout ->
    assert(!asleep || (count[0] == 0 && count[1] == 0))
}

init {
    atomic {
        run Waiter();
        run Releaser(0);
        run Releaser(1);
        run Killer();
        run Rest()
    }
}
