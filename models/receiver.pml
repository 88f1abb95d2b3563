/*
 * One receiver's life: claim, entry, handler, answer, lazy switch, parked signal, and the deaths of its process and of its callers.
 *
 * Here                      In the code
 * ----                      -----------
 * Sender: claim             EmitClaim: lock cmpxchg Ready -> Foreign; the claimer is in the same word (see UNTRACED)
 * Sender: pc CLAIMED        entry_claimed .. entry_selector       sender noted, current stored
 *         pc ENTRY          entry_selector .. entry_end           a signal: call_roll_back, pc ROLLBACK
 *         pc STUB           entry_end .. InHandler = 1            from here on the receiver's stack
 *         pc CALLING, HANDLER, RETURNED                           InHandler = 1, the handler, InHandler = 0
 *         pc AFTER          exit_check
 *         pc EXIT           exit_branch .. exit_done              a signal: answer_undo, and a lazy switch at exit_check
 *         pc EXIT_DONE      exit_done .. exit_ready               current = 0, then Ready (a signal completes: answer_complete)
 *         pc LAZY_*         lazy_switch: frame | EmitBackToSender, reply word, rsp | xchg Pending | look at Gone | Own | xchg Wake
 *         pc WAITING        wait_reply: reply_announce, reply_futex, reply_taken
 * Home                      the receiver's own kernel thread: park, park_woken, rt_sigreturn into the frame, answer_home,
 *                           answer_reply; parked signal: EmitParkedSignal, parked_ready. Its evict is a signal at any time
 * DeathOfCallee             DeathReport: RetireReady, Gone, membarrier, Sweep (repeated while Foreign), Tell
 * DeathOfCaller             the host's settlement of what a dead caller's kernel thread held
 *
 * Two ways to know where a dead caller was:
 *   TRACED     its registers are seen before it goes (exit stop): pc is exact. In a context of the receiver: the context is
 *              handed to Home. Between claim and stack, or between stack and Ready: Ready. In a lazy switch: completed.
 *   UNTRACED   memory only: the claimer in the state word says whose receiver it was, InHandler whether the context was lost.
 *
 * No store buffers here: every store that is followed by a load that matters is a locked instruction (claim, Pending, Wake, reply)
 * or has the host's membarrier on the other side (Gone); TSO keeps the rest in order. waiters.pml has the one exception.
 *
 * Invariants
 *   one at a time      whoever moves onto the receiver's stack finds nobody and no handler's frames there      enter()
 *   exactly one reply  Answered: the handler ran once for this call. PeerDied: only after a death              reply_taken
 *   sequence           an answer reaches only the call that it is for                                          answer_reply
 *   everybody ends     at rest, senders that live have all their results, nobody sleeps                        Rest
 *   not lost           at rest the receiver is Ready, or Dead with a report; Dead if its process died          Rest
 *
 * Known-bad: BAD_LOOK_BEFORE_PENDING   the lazy switch looks at Gone before it publishes Pending
 *            BAD_NO_SEQUENCE           Tell and answer_reply do not compare the sequence
 *            BAD_TELL_WITHOUT_WAKE     Tell wakes only whom it told: Home may have died between its answer and the wake
 *            BAD_NO_ANSWERING          answer_home leaves no trace of whom it owes
 *            BAD_READY_IN_HANDLER      UNTRACED: Ready although InHandler
 *            BAD_CLAIMER_CURRENT       UNTRACED: "it held the receiver" = its block's current is the receiver
 *            BAD_CLAIMER_SENDER        UNTRACED: "it held the receiver" = Foreign, and the receiver's sender is its block
 *            BAD_PARK_LEAVES           UNTRACED: a wake with nothing to resume ends the wait, as before
 *            BAD_NO_HOST_WAKE          the host does not repeat the wake-up of Home
 */

#ifndef CALLS
#define CALLS 1                            /* of sender 0, before it calls elsewhere; sender 1 makes one call */
#endif
#define SENDERS 2
#define SIGNALS 2                          /* for the parked receiver; without number when its process is killed */
#define HOME    2
#define NOBODY  3

/* ReceiverBlock.State */
#define READY   1
#define FOREIGN 2
#define OWN     3
#define DEAD    5

/* Wake; Reply's low bits */
#define IDLE     0
#define NOW      1
#define ASLEEP   3
#define PENDING  0
#define ANSWERED 1
#define PEERDIED 2

/* where a kernel thread is, and where a suspended context continues */
#define OUTSIDE      0
#define CLAIMED      1
#define ENTRY        2
#define ROLLBACK     3
#define STUB         4
#define CALLING      5
#define HANDLER      6
#define RETURNED     7
#define AFTER        8
#define EXIT         9
#define EXIT_DONE    10
#define EXIT_READY   11
#define LAZY_FRAME   12
#define LAZY_BACK    13
#define LAZY_OWN     14
#define LAZY_WOKEN   15
#define LAZY_GONE    16
#define WAITING      17

/* ALONE: without sender 1, so that both deaths at once fit into memory. */

/* receiver */
byte state = READY, claimer = NOBODY;      /* one word */
byte frame, wake, pending = NOBODY, pendingSeq, answering = NOBODY, answeringSeq;
bit  inHandler, homeAsleep;
#ifdef BAD_CLAIMER_SENDER
byte sender = NOBODY;
#endif

/* senders' thread blocks */
bit  current[SENDERS];
byte seq[SENDERS], status[SENDERS];        /* the reply word */
bit  replyAsleep[SENDERS], evicted[SENDERS];

/* members */
bit  killed[SENDERS], calleeKilled, gone, reported;
bit  stubborn;                             /* a handler whose process died goes on until it is evicted */

/* what only the model knows */
byte pc[SENDERS];
byte on = NOBODY;                          /* who executes the receiver's context */
byte caller = NOBODY;                      /* whose call the context is in */
bit  frames;                               /* a handler's frames are on its stack */
byte ran[SENDERS];                         /* handlers that returned for this sender's present call */
bit  ended[SENDERS], askedElsewhere;

inline enter(who) { assert(on == NOBODY); on = who }

inline wake_home() {                       /* xchg Wake, then futex_wake when it slept */
    atomic { old = wake; wake = NOW };
    if
    :: old == ASLEEP -> atomic { homeAsleep = 0; old = 0 }
    :: else -> old = 0
    fi
}

/* From `at` to the end of the handler. Home and senders execute it. */
inline run_context(me, at) {
    do
    :: at == STUB     -> atomic { inHandler = 1; at = CALLING }
    :: at == CALLING  -> atomic { assert(!frames); frames = 1; at = HANDLER }
    :: at == HANDLER  -> atomic { frames = 0; ran[caller]++; caller = NOBODY; at = RETURNED }
    :: at == RETURNED -> atomic { inHandler = 0; at = AFTER }
    :: at == AFTER    -> break
    od
}

inline wait_reply() {
    do
    :: status[me] == ANSWERED || status[me] == PEERDIED -> break
    :: atomic { status[me] == PENDING -> status[me] = ASLEEP }
    :: atomic { status[me] == ASLEEP -> replyAsleep[me] = 1 };
       replyAsleep[me] == 0
    od
}

proctype Sender(byte me) {
    byte calls, old, x;
    {
    x = 0;
next_call:
    atomic { ran[me] = 0; calls++; pc[me] = OUTSIDE };
entry_retry:
    if
    :: atomic { state == READY -> state = FOREIGN; claimer = me; pc[me] = CLAIMED }
    :: state != READY && (state == DEAD || gone) -> goto end_sender      /* CallWait: Dead, or not IsOpen */
    fi;
#ifdef BAD_CLAIMER_SENDER
    sender = me;                           /* entry_claimed */
#endif
    atomic { current[me] = 1; pc[me] = ENTRY };
    if
    :: atomic { current[me] = 0; evicted[me] = 0; pc[me] = ROLLBACK };
       atomic { state = READY; claimer = NOBODY; pc[me] = OUTSIDE };
       goto entry_retry
    :: atomic { enter(me); assert(!frames); caller = me; pc[me] = STUB }
    fi;
    do                                     /* as run_context, with signals and system calls */
    :: atomic { pc[me] == STUB -> inHandler = 1; pc[me] = CALLING }
    :: atomic { pc[me] == CALLING -> assert(!frames); frames = 1; pc[me] = HANDLER }
    :: atomic { pc[me] == HANDLER && !(stubborn && calleeKilled) -> frames = 0; ran[me]++; caller = NOBODY; pc[me] = RETURNED }
    :: atomic { pc[me] == RETURNED -> inHandler = 0; pc[me] = AFTER }
    :: atomic { pc[me] == AFTER && current[me] -> pc[me] = EXIT }
    :: atomic { pc[me] == EXIT -> on = NOBODY; pc[me] = EXIT_DONE };
       atomic { current[me] = 0; pc[me] = EXIT_READY };
       atomic { state = READY; claimer = NOBODY; pc[me] = OUTSIDE; assert(ran[me] == 1) };
       goto later_call
    :: atomic { evicted[me] || !(stubborn && calleeKilled) ->             /* a signal or a system call, anywhere */
                x = (pc[me] == EXIT -> AFTER : pc[me]); evicted[me] = 0 };
       break                               /* lazy_switch */
    od;

    atomic { frame = x; x = 0; pc[me] = LAZY_FRAME };
    atomic { current[me] = 0; pc[me] = LAZY_BACK;
             seq[me]++; status[me] = PENDING; pendingSeq = seq[me];
             on = NOBODY };                /* rsp = the sender's */
#ifdef BAD_LOOK_BEFORE_PENDING
    x = gone;
    pending = me;
#else
    pending = me;                          /* SYNC pending-gone */
    x = gone;
#endif
    if
    :: atomic { x == 0 -> state = OWN; claimer = NOBODY; pc[me] = LAZY_OWN };
       atomic { old = wake; wake = NOW; pc[me] = LAZY_WOKEN };
       if
       :: old == ASLEEP -> atomic { homeAsleep = 0; old = 0 }
       :: else -> old = 0
       fi
    :: atomic { x != 0 -> state = DEAD; claimer = NOBODY; pc[me] = LAZY_GONE; frames = 0 };    /* lazy_gone */
       atomic { x = (pending == me); pending = NOBODY };
       if
       :: x -> status[me] = status[me] | PEERDIED
       :: else
       fi
    fi;
    atomic { x = 0; pc[me] = WAITING };

    wait_reply();
    if                                     /* reply_taken */
    :: atomic { status[me] == PEERDIED -> assert(calleeKilled); status[me] = PENDING }; goto later_call
    :: atomic { status[me] == ANSWERED -> status[me] = PENDING; assert(ran[me] == 1) }
    fi;
later_call:
    if
    :: me == 0 && calls < CALLS -> goto next_call
    :: me == 0 && calls >= CALLS -> goto elsewhere
    :: me != 0 -> goto end_sender
    fi;
elsewhere:                                 /* a lazily switched call of a receiver that lives and answers */
    atomic { seq[me]++; status[me] = PENDING; askedElsewhere = 1; pc[me] = WAITING };
    wait_reply();
    atomic { assert(status[me] == ANSWERED && askedElsewhere == 0); status[me] = PENDING };
end_sender:
    atomic { pc[me] = OUTSIDE; ended[me] = 1; calls = 0; ran[me] = 0 }
    } unless { killed[me] }
}

proctype Elsewhere() {
end:
    atomic { askedElsewhere -> askedElsewhere = 0; status[0] = ANSWERED; replyAsleep[0] = 0 }
}

proctype Home() {
    byte at, to, old, signals;
    {
end_parked:
    do
    :: atomic { !homeAsleep && wake == NOW -> wake = IDLE };            /* park_woken: xchg */
       if
       :: atomic {
#ifdef BAD_PARK_LEAVES
            frame != 0 ->
#else
            state == OWN && frame != 0 ->
#endif
            at = frame; frame = 0; assert(state == OWN); enter(HOME) }  /* rt_sigreturn */
          run_context(HOME, at);
          atomic { at = 0; on = NOBODY; to = pending };                 /* answer_home, on the parking stack */
          answeringSeq = pendingSeq;
#ifndef BAD_NO_ANSWERING
          answering = to;
#endif
          atomic { pending = NOBODY; pendingSeq = 0 };
          state = READY;
          if
          :: to != NOBODY ->
             atomic {                                                   /* answer_reply: compare, cmpxchg */
                 old = IDLE;
                 if
#ifdef BAD_NO_SEQUENCE
                 :: true ->
#else
                 :: seq[to] == answeringSeq && (status[to] == PENDING || status[to] == ASLEEP) ->
#endif
                     old = status[to]; status[to] = ANSWERED
                 :: else
                 fi
             };
             if
             :: old == ASLEEP -> atomic { replyAsleep[to] = 0; old = 0 }
             :: else
             fi
          :: else
          fi;
          atomic { answering = NOBODY; answeringSeq = 0; to = 0; old = 0 }
       :: else ->
#ifdef BAD_PARK_LEAVES
          assert(false)                                                 /* leave_wait, while others may enter its stack */
#else
          skip                                                          /* nothing to resume: parks again */
#endif
       fi
    :: atomic { !homeAsleep && wake == IDLE -> wake = ASLEEP }          /* park_sleep */
    :: atomic { !homeAsleep && wake == ASLEEP -> homeAsleep = 1 }       /* park_futex */
    :: atomic { state == READY && signals < SIGNALS -> state = OWN; enter(HOME);      /* parked signal: its handler uses the receiver's FS */
#ifndef KILL_CALLEE
           signals++                       /* without an end there would be no rest */
#endif
       };
       on = NOBODY;
       state = READY
    od
    } unless { calleeKilled }
}

inline tell(p, s) {
    if
    :: p != NOBODY ->
       atomic {
           told = 0;
           if
#ifdef BAD_NO_SEQUENCE
           :: status[p] == PENDING || status[p] == ASLEEP -> status[p] = PEERDIED; told = 1
#else
           :: seq[p] == s && (status[p] == PENDING || status[p] == ASLEEP) -> status[p] = PEERDIED; told = 1
#endif
           :: else
           fi
       };
#ifdef BAD_TELL_WITHOUT_WAKE
       if
       :: told -> replyAsleep[p] = 0
       :: else
       fi
#else
       replyAsleep[p] = 0
#endif
    :: else
    fi
}

proctype DeathOfCallee() {
    byte seen, p;
    bit told;
    atomic { if :: on == HOME -> on = NOBODY; frames = 0 :: else fi; homeAsleep = 0 };
    atomic { if :: state == READY -> state = DEAD :: else fi };         /* RetireReady */
    gone = 1;                                                           /* and membarrier */
    do
    :: seen = state;                                                    /* Sweep */
       atomic { p = pending; pending = NOBODY };
       tell(p, pendingSeq);
       atomic { p = answering; answering = NOBODY };
       tell(p, answeringSeq);
       if
       :: seen == DEAD -> break
       :: seen == READY || seen == OWN ->
          if
          :: atomic { state == seen -> state = DEAD; claimer = NOBODY }; break
          :: else
          fi
       :: seen == FOREIGN ->                                            /* EvictFrom, and again while it is Foreign */
          atomic { evicted[0] = evicted[0] | current[0]; evicted[1] = evicted[1] | current[1] };
#ifdef CHASE_GIVES_UP
          if :: break :: true fi;
#endif
          state != FOREIGN || (current[0] && !evicted[0]) || (current[1] && !evicted[1])
       fi
    od
}

proctype DeathOfCaller(byte i) {
    byte old;
#ifdef TRACED
    if
    :: pc[i] == OUTSIDE || pc[i] == WAITING || pc[i] == LAZY_GONE
    :: (pc[i] >= CLAIMED && pc[i] <= ROLLBACK) || (pc[i] >= EXIT && pc[i] <= EXIT_READY) ->
       atomic { current[i] = 0; if :: on == i -> on = NOBODY :: else fi };
       assert(!frames && state == FOREIGN && claimer == i);
       atomic { state = READY; claimer = NOBODY }
    :: pc[i] >= STUB && pc[i] <= AFTER ->                               /* its registers become the frame */
       atomic { current[i] = 0; frame = pc[i]; on = NOBODY };
       goto complete
    :: pc[i] == LAZY_FRAME || pc[i] == LAZY_BACK ->
       atomic { current[i] = 0; if :: on == i -> on = NOBODY :: else fi };
complete:
       pending = NOBODY;                                                /* nobody waits for the answer */
       atomic { assert(state == FOREIGN && claimer == i); state = OWN; claimer = NOBODY };
#ifndef BAD_NO_HOST_WAKE
       wake_home()
    :: pc[i] == LAZY_OWN -> wake_home()
    :: pc[i] == LAZY_WOKEN -> homeAsleep = 0                            /* futex_wake alone */
#else
    :: pc[i] == LAZY_OWN || pc[i] == LAZY_WOKEN
#endif
    fi
#else
    bit held;
    atomic { if :: on == i -> on = NOBODY :: else fi };
#if defined(BAD_CLAIMER_CURRENT)
    atomic { held = (state == FOREIGN && current[i]) };
#elif defined(BAD_CLAIMER_SENDER)
    atomic { held = (state == FOREIGN && sender == i) };
#else
    atomic { held = (state == FOREIGN && claimer == i) };
#endif
    current[i] = 0;
    if
    :: held ->
       frame = 0;
       atomic { if :: pending == i -> pending = NOBODY :: else fi };
       if
#ifndef BAD_READY_IN_HANDLER
       :: inHandler -> atomic { state = DEAD; claimer = NOBODY; reported = 1 }
       :: else ->
#else
       :: true ->
#endif
          atomic { state = READY; claimer = NOBODY }                    /* and bump, waiters.pml */
       fi
    :: else ->
#ifndef BAD_NO_HOST_WAKE
       if
       :: state == OWN -> wake_home()                                   /* it may have died between Own and the wake-up */
       :: else
       fi;
       homeAsleep = 0
#else
       skip
#endif
    fi
#endif
}

#ifdef KILL_CALLEE
active proctype KillerOfCallee() { atomic { calleeKilled = 1; run DeathOfCallee() } }
#endif

#ifdef KILL_CALLER
active proctype KillerOfCaller() { atomic { killed[0] = 1; replyAsleep[0] = 0; run DeathOfCaller(0) } }
#endif

proctype Rest() {                          /* when nothing else can move */
    timeout;
    assert(ended[0] || killed[0]);
    assert(ended[1] || killed[1]);
    assert(on == NOBODY && pending == NOBODY && answering == NOBODY);
#ifndef CHASE_GIVES_UP
    assert(!calleeKilled || state == DEAD);
#endif
    assert(calleeKilled || (state == READY && !frames) || (state == DEAD && reported))
}

init {
    atomic {
#if defined(KILL_CALLEE) && !defined(CHASE_GIVES_UP)
        if :: stubborn = 1 :: stubborn = 0 fi;
#endif
#ifdef ALONE
        ended[1] = 1;
#else
        run Sender(1);
#endif
        run Sender(0); run Home(); run Elsewhere(); run Rest()
    }
}
