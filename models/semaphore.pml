/*
 * Semaphores: no wake-up is lost, whoever is killed between whichever instructions.
 *
 * Here                     In the code
 * ----                     -----------
 * count, mask              SemaphoreBlock.State: both in one word, changed by one locked instruction
 * Waiter                   SharedSemaphore.WaitLong: Announcement.Enter, then TryWait and futex_wait(count == 0) in turns, Announcement.Leave
 * Any                      SemaphoreWaitAny.Run over both semaphores: announces itself at both, takes from either, passes the rest on
 * Releaser                 SharedSemaphore.Release: count + 1 and the mask's old value in one instruction; futex_wake(1) if the mask has a bit
 * Recover                  SemaphoreRecovery.Recover, and what SleepWatch does in its place when nobody sweeps: all sleepers look again
 *
 * Invariant (at rest): no living waiter sleeps at a semaphore that has tokens. There is no timeout and no cancellation here: they
 * would hide a lost wake-up.
 *
 * Known-bad: BAD_FLAG        a flag that the first releaser takes back, for all waiters (Norost B, seed 002)
 *            BAD_MASK_FIRST  the releaser looks for waiters before it raises the count
 *            BAD_NO_PASS_ON  a waiter for any keeps a wake-up that it did not use
 *            BAD_NO_RECOVER  nobody makes good what the dead one owed, or had been given
 */

#ifndef WAITERS
#define WAITERS 2                      /* at semaphore 0; one more waits for any */
#endif
#ifndef RELEASES
#define RELEASES 2                     /* of each releaser */
#endif
#ifndef KILLS
#define KILLS 0
#endif

#define ANY WAITERS                    /* its number */
#define ALL (WAITERS + 1)
#define NOWHERE 0
#define BOTH 3

byte count[2];
byte mask[2];                          /* bit per party; with BAD_FLAG 0 or 1 */
byte asleep[ALL];                      /* bit per semaphore: in futex_wait, futex_waitv */
bit  killed[ALL + 2];                  /* waiters, any, releasers */
bit  gone[ALL + 2];                    /* out of the kernel too: only then its party's lock is free, and Recover begins */

inline wake_one(s) {
    atomic {
        if
        :: asleep[0] & (1 << s) -> asleep[0] = NOWHERE
        :: asleep[1] & (1 << s) -> asleep[1] = NOWHERE
        :: asleep[ANY] & (1 << s) -> asleep[ANY] = NOWHERE
        :: !(asleep[0] & (1 << s)) && !(asleep[1] & (1 << s)) && !(asleep[ANY] & (1 << s))
        fi
    }
}

inline enter(s) {
#ifdef BAD_FLAG
    mask[s] = 1
#else
    mask[s] = mask[s] | (1 << me)
#endif
}

inline leave(s) {
#ifndef BAD_FLAG
    mask[s] = mask[s] & ~(1 << me)
#else
    skip
#endif
}

proctype Waiter(byte me) {
    {
        enter(0);
        do
        :: atomic { count[0] > 0 -> count[0]-- }; break
        :: count[0] == 0 ->
#ifdef BAD_FLAG
            enter(0);
#endif
            atomic {                   /* the kernel compares and sleeps under one lock */
                if
                :: count[0] == 0 -> asleep[me] = 1
                :: else
                fi
            };
end:        asleep[me] == NOWHERE
        od;
        leave(0)
    } unless { killed[me] };
    asleep[me] = NOWHERE;              /* until here a wake-up may still choose the dying one */
    gone[me] = 1
}

proctype Any(byte me) {
    byte took = 2;
    {
        enter(0);
        enter(1);
        do
        :: atomic { count[1] > 0 -> count[1]--; took = 1 }; break
        :: atomic { count[0] > 0 -> count[0]--; took = 0 }; break
        :: count[0] == 0 && count[1] == 0 ->
#ifdef BAD_FLAG
            enter(0);
            enter(1);
#endif
            atomic {
                if
                :: count[0] == 0 && count[1] == 0 -> asleep[me] = BOTH
                :: else
                fi
            };
end:        asleep[me] == NOWHERE
        od;
        leave(0);
#ifndef BAD_NO_PASS_ON
        if
        :: took != 0 && count[0] > 0 && mask[0] != 0 -> wake_one(0)
        :: else
        fi;
#endif
        leave(1)
    } unless { killed[me] };
    asleep[me] = NOWHERE;              /* until here a wake-up may still choose the dying one */
    gone[me] = 1
}

proctype Releaser(byte s, who) {
    byte left = RELEASES, waiting;
    {
        do
        :: left == 0 -> break
        :: left > 0 ->
            left--;
#ifdef BAD_MASK_FIRST
            waiting = mask[s];
            count[s]++;
#else
            atomic { waiting = mask[s]; count[s]++ };
#endif
            if
            :: waiting != 0 ->
#ifdef BAD_FLAG
                mask[s] = 0;
#endif
                wake_one(s)
            :: else
            fi
        od
    } unless { killed[who] };
    gone[who] = 1
}

proctype Recover(byte dead) {
    byte s;
    gone[dead];
#ifndef BAD_NO_RECOVER
    do
    :: s == 2 -> break
    :: s < 2 ->
        if
        :: dead < ALL -> mask[s] = mask[s] & ~(1 << dead)
        :: else
        fi;
        if
        :: count[s] > 0 ->
            d_step {
                asleep[0] = (asleep[0] & (1 << s) -> NOWHERE : asleep[0]);
                asleep[1] = (asleep[1] & (1 << s) -> NOWHERE : asleep[1]);
                asleep[ANY] = (asleep[ANY] & (1 << s) -> NOWHERE : asleep[ANY])
            }
        :: else
        fi;
        s++
    od
#endif
}

proctype Killer() {
    byte kills;
    do
    :: kills == KILLS -> break
    :: kills < KILLS ->
        if
        :: break
        :: atomic { !killed[0] -> killed[0] = 1; run Recover(0) }
        :: atomic { !killed[ANY] -> killed[ANY] = 1; run Recover(ANY) }
        :: atomic { !killed[ALL] -> killed[ALL] = 1; run Recover(ALL) }
        :: atomic { !killed[ALL + 1] -> killed[ALL + 1] = 1; run Recover(ALL + 1) }
        fi;
        kills++
    od
}

proctype Rest() {
    timeout ->
    assert(count[0] == 0 || (!asleep[0] && !asleep[1] && !(asleep[ANY] & 1)));
    assert(count[1] == 0 || !(asleep[ANY] & 2))
}

init {
    byte i;
    atomic {
        do
        :: i < WAITERS -> run Waiter(i); i++
        :: else -> break
        od;
        run Any(ANY);
        run Releaser(0, ALL);
        run Releaser(1, ALL + 1);
        run Killer();
        run Rest()
    }
}
