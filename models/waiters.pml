/*
 * Senders that wait for a receiver: no wake-up is lost, whoever is killed at whatever instruction.
 *
 * Here                     In the code
 * ----                     -----------
 * Sender: fast             call_any: one claim, without announcing itself
 * Sender: wait_loop        CallWait.Run: seen = ReadySequence; Waiters = 1; membarrier; Look; futex_wait(ReadySequence == seen)
 * Sender: answer           exit_ready: plain store of Ready; exit_end: plain load of Waiters; exit_wake_waiters: Waiters = 0,
 *                          lock inc ReadySequence, futex_wake(all)
 * Host                     the host after every death: settles the receiver that the dead one held (receiver.pml is about that),
 *                          bumps ReadySequence, wakes
 * sb[i], Drain             x86-TSO: the store buffer of sender i's CPU. A locked instruction waits until it is empty; membarrier
 *                          empties everybody's, one CPU after the other; a killed thread's is emptied before the host hears of it
 *
 * EmitReady (rollback, wrong registration, parked signal) and answer_home have an mfence between store and load: they are the
 * answer here with fewer interleavings, and not modelled again.
 *
 * Invariant (end states): when nothing moves any more, every sender that lives has ended. So nobody sleeps while a receiver is
 * Ready. There is no deadline and no cancellation here: they would hide a lost wake-up.
 *
 * Known-bad: BAD_SEEN_AFTER_FLAG, BAD_SEEN_AFTER_LOOK  the sequence is read too late
 *            BAD_NO_MEMBARRIER                         the waiter trusts its own fence
 *            BAD_NO_BUMP                               the host does not bump after a death
 *            BAD_CLEAR_AFTER_BUMP                      the answer clears the flag after the bump
 */

#ifndef SENDERS
#define SENDERS 3
#endif
#ifndef RECEIVERS
#define RECEIVERS 1
#endif
#ifndef CALLS
#define CALLS 1
#endif
#ifndef KILLS
#define KILLS 1
#endif

#define READY   1
#define FOREIGN 2
#define NOBODY  255
#define WAITERS RECEIVERS              /* a buffered store's location: receiver 0.. or the flag */

byte state[RECEIVERS];
byte holder[RECEIVERS];                /* who claimed it: for the host, which knows it from receiver.pml's rules */
bit  waiters;                          /* ServiceEntry.Waiters: a flag */
byte sequence;                         /* ServiceEntry.ReadySequence: a futex */
bit  asleep[SENDERS];                  /* in futex_wait */
bit  killed[SENDERS];
chan sb[SENDERS] = [2] of { byte, byte };

inline write(where, what) {            /* a store reaches memory */
    if
    :: where == WAITERS -> waiters = what
    :: else -> state[where] = what
    fi
}

inline wake_all() {
    d_step {
        w = 0;
        do
        :: w < SENDERS -> asleep[w] = 0; w++
        :: else -> w = 0; break
        od
    }
}

proctype Drain(byte cpu) {
    byte where, what;
end:
    do
    :: atomic { sb[cpu]?where,what -> write(where, what); where = 0; what = 0 }
    od
}

inline look() {                        /* CallWait.Look: r = the receiver claimed, or RECEIVERS */
    do
    :: atomic {                        /* lock cmpxchg */
            empty(sb[me]) ->
            if
            :: state[r] == READY -> state[r] = FOREIGN; holder[r] = me; break
            :: else ->
                r++;
                if
                :: r == RECEIVERS -> break
                :: else
                fi
            fi
        }
    od
}

inline membarrier() {
    empty(sb[me]);                     /* the kernel's own smp_mb() comes first, then the other CPUs', one by one */
    do
    :: d_step {
            w < SENDERS ->
            do
            :: nempty(sb[w]) -> sb[w]?where,what; write(where, what)
            :: empty(sb[w]) -> break
            od;
            where = 0; what = 0; w++
        }
    :: d_step { w == SENDERS -> w = 0; r = 0 } -> break
    od
}

proctype Sender(byte me) {
    byte r, seen, w, calls, where, what;
    {
    do
    :: calls == CALLS -> break
    :: calls < CALLS ->
        look();                        /* fast */
        do                             /* wait_loop */
        :: r < RECEIVERS -> break
        :: else ->
#if !defined(BAD_SEEN_AFTER_FLAG) && !defined(BAD_SEEN_AFTER_LOOK)
            seen = sequence;
#endif
            sb[me]!WAITERS,1;
#ifdef BAD_SEEN_AFTER_FLAG
            seen = sequence;
#endif
#ifndef BAD_NO_MEMBARRIER
            membarrier();
#else
            r = 0;
#endif
            look();
#ifdef BAD_SEEN_AFTER_LOOK
            if
            :: r == RECEIVERS -> seen = sequence
            :: else
            fi;
#endif
            if
            :: r < RECEIVERS -> break
            :: else ->
                atomic {               /* futex_wait: the kernel compares and sleeps under one lock */
                    if
                    :: sequence == seen -> asleep[me] = 1
                    :: else
                    fi
                };
                asleep[me] == 0
            fi
        od;
        atomic { sb[me]!r,READY; r = 0; seen = 0 };    /* answer: exit_ready, no fence */
        if                             /* exit_end */
        :: waiters == 0
        :: waiters != 0 ->
#ifdef BAD_CLEAR_AFTER_BUMP
            atomic { empty(sb[me]) -> sequence++ };
            sb[me]!WAITERS,0;
#else
            sb[me]!WAITERS,0;
            atomic { empty(sb[me]) -> sequence++ };
#endif
            wake_all()
        fi;
        calls++
    od
    } unless { killed[me] };
    asleep[me] = 0
}

proctype Host(byte dead) {             /* the host has a thread per member */
    byte r, w;
    empty(sb[dead]);
    do
    :: r == RECEIVERS -> r = 0; break
    :: r < RECEIVERS ->
        d_step {
            if
            :: state[r] == FOREIGN && holder[r] == dead -> state[r] = READY; holder[r] = NOBODY
            :: else
            fi;
            r++
        }
    od;
#ifndef BAD_NO_BUMP
    sequence++;
    wake_all()
#endif
}

proctype Killer() {
    byte kills;
    do
    :: kills == KILLS -> break
    :: kills < KILLS ->
        if
        :: break
        :: atomic { !killed[0] -> killed[0] = 1; run Host(0) }
        :: atomic { !killed[1] -> killed[1] = 1; run Host(1) }
        :: atomic { SENDERS > 2 && !killed[SENDERS - 1] -> killed[SENDERS - 1] = 1; run Host(SENDERS - 1) }
        fi;
        kills++
    od
}

init {
    byte i;
    atomic {
        do
        :: i < RECEIVERS -> state[i] = READY; holder[i] = NOBODY; i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < SENDERS -> run Sender(i); run Drain(i); i++
        :: else -> break
        od;
        run Killer()
    }
}
