/*
 * A dead member's slot and index are used again: nobody meets unmapped memory, a stale call, or another one's answer.
 * The member dies as a callee (-DCALLEE) or as a caller (-DCALLER). receiver.pml has what is one step here.
 *
 * Here                        In the code
 * ----                        -----------
 * Sender (CALLEE)             a live member's thread that holds the dead receiver's address (LastReceiver, its connection) and calls
 *                             late: EmitClaim, the look at Registration (wrong_registration), handler, exit_ready or lazy_switch
 * Home (CALLEE)               the receiver's own thread, of the first and of the second life of the index: wait, park, park_woken
 * Caller (CALLER)             the dying member's thread in a lazily switched call of receiver Q, and after reuse a thread of the new
 *                             member with the same thread block, whose reply sequence begins again
 * Home (CALLER)               Q's own thread: the handler reads the request where it lies, in the caller's slot; answer_home
 * Other (CALLER)              another sender of Q: claims it and stores its name after the claim
 * Host                        death report, then reclaim: waits, unmaps the slot, starts a member with the same index
 *
 * Control blocks stay mapped in both lives; reclaim clears them. Slot memory is `mapped` or not.
 *
 * Invariants
 *   mapped            a handler runs, and reads its request, only in mapped memory of its own life            in_slot()
 *   registration      a call is executed only by the registration it was made for                             Sender
 *   stack             a kernel thread stands only on mapped memory, also after it has stored Dead             standing, Host
 *   block             nobody reads a cleared block as if it were the old one                                  Sender: service
 *   answers           an answer completes only the call that it is for                                        answer_reply
 *   rest              the new receiver parks, and stays parked until somebody needs it; everybody ends        Home, end states
 *
 * Known-bad: CALLEE  BAD_NO_WAIT             reclaim while the receiver is Foreign (as when the chase gives up)
 *                    BAD_NO_REGISTRATION     a claim does not compare the registration
 *                    BAD_NO_STANDING_WAIT    reclaim does not wait for threads whose block says that they are in a context of the area
 *                    BAD_SERVICE_AFTER_READY the answer reads the receiver's Service after it stored Ready (waiters' flag)
 *                    BAD_PARK_LEAVES         a wake-up with nothing to resume ends the wait: the lazy switch's xchg of Wake may
 *                                            come after Own was seen and the index used again
 *            CALLER  BAD_NO_WAIT             reclaim does not wait for receivers that execute the dead member's calls
 *                    BAD_NO_ANSWERING_WAIT   it waits for these, but not for answers that are being written
 *                    BAD_ANSWERING_FIRST     it looks at Answering before it looks at State and Pending
 */

#define INIT     0
#define READY    1
#define FOREIGN  2
#define OWN      3
#define DEAD     5

#define IDLE     0
#define NOW      1

#define PENDING  0
#define ANSWERED 1

byte life = 1;                             /* of the index */
bit  mapped = 1, killed, gone;

inline in_slot(whose) { assert(mapped && life == whose) }

#ifdef CALLEE
byte state, wake, registration, service;   /* the receiver block */
bit  frame;
byte calls, standing;                      /* threads whose block says that they are in the receiver's context */

proctype Sender() {
    byte entered;                          /* the life whose context was entered */
next_call:
    atomic { calls++; entered = 0 };
    if
    :: atomic { state == READY -> state = FOREIGN }
    :: state != READY -> goto end_sender
    fi;
#ifndef BAD_NO_REGISTRATION
    if
    :: registration == 1
    :: registration != 1 ->                /* wrong_registration */
       assert(service != 0);
       state = READY;
       goto end_sender
    fi;
#endif
    atomic { entered = life; standing++; assert(registration == 1) };
    in_slot(entered);                           /* handler */
    if
    ::
       standing--;
#ifndef BAD_SERVICE_AFTER_READY
       assert(service != 0);               /* exit: Service is read, then Ready is the last access to the block */
       state = READY
#else
       state = READY;                      /* exit_ready */
       assert(service != 0)                /* exit_end */
#endif
    ::
       in_slot(entered);
       frame = 1;                          /* lazy_switch */
       if                                  /* Pending and its reply: receiver.pml */
       :: atomic { !gone -> standing--; state = OWN };
          wake = NOW                       /* the last access to the block; the death may be told and all of it over by now */
       :: gone -> state = DEAD;
          in_slot(entered);                /* wherever it stands yet */
          standing--
       fi
    fi;
    if
    :: calls < 3 -> goto next_call
    :: goto end_sender
    fi;
end_sender:
    skip
}

proctype Home(byte mine) {
    {
    registration = mine; service = mine;
    state = READY;                         /* wait */
end_parked:
    do
    :: atomic { wake == NOW -> wake = IDLE };
       if
       :: atomic { state == OWN && frame -> frame = 0 };
          in_slot(mine);
          state = READY                    /* answer_home */
       :: else ->
#ifdef BAD_PARK_LEAVES
          assert(false)
#else
          skip
#endif
       fi
    od
    } unless { killed && mine == 1 }
}

active proctype Host() {
    killed = 1;
    atomic { if :: state == READY -> state = DEAD :: else fi };
    gone = 1;
    do
    :: atomic { state == READY || state == OWN || state == INIT -> state = DEAD }
    :: state == DEAD -> break
#ifdef BAD_NO_WAIT
    :: state == FOREIGN -> break
#endif
    od;
#ifndef BAD_NO_STANDING_WAIT
    standing == 0;
#endif
    mapped = 0;
    atomic { state = INIT; registration = 0; service = 0; wake = IDLE; frame = 0 };
    atomic { life = 2; mapped = 1; gone = 0 };
    run Home(2)
}

init { atomic { run Home(1); run Sender(); run Sender() } }
#endif

#ifdef CALLER
#define NOBODY 0
#define CALLER_BLOCK 1                     /* the thread block, of either life */
#define OTHER  2

byte state = READY, sender, pending, pendingSeq, answering, answeringSeq;      /* receiver Q of a live member */
byte seq, status;                          /* CALLER_BLOCK's reply word */
byte handled;                              /* whose request the handler in Q reads: the life of the caller */
bit  elsewhere;

proctype Caller(byte mine) {
    {
    if
    :: mine == 1 ->                        /* calls Q and is switched lazily; a death before that is settled as in receiver.pml */
       atomic { state == READY -> state = FOREIGN; sender = CALLER_BLOCK; handled = mine };
       atomic { seq++; status = PENDING; pendingSeq = seq };
       pending = CALLER_BLOCK;
       state = OWN
    :: mine == 2 ->                        /* the same block: calls a receiver elsewhere */
       atomic { seq++; status = PENDING };
       elsewhere = 1
    fi;
    status == ANSWERED;
    status = PENDING
    } unless { killed && mine == 1 }
}

proctype Elsewhere() {
end:
    atomic { elsewhere -> elsewhere = 0; assert(status == PENDING); status = ANSWERED }
}

proctype Home() {
    byte to;
end_parked:
    do
    :: atomic { state == OWN -> in_slot(handled) };
       in_slot(handled);
       to = pending;                       /* answer_home */
       answeringSeq = pendingSeq;
       answering = to;
       pending = NOBODY;
       atomic { state = READY; handled = 0 };
       if
       :: to == CALLER_BLOCK ->            /* answer_reply */
          atomic {
              if
              :: seq == answeringSeq && status == PENDING -> status = ANSWERED; assert(life == 1)
              :: else
              fi
          }
       :: else
       fi;
       atomic { answering = NOBODY; to = NOBODY }
    od
}

proctype Other() {
    atomic { state == READY -> state = FOREIGN };
    sender = OTHER;
    state = READY
}

active proctype Host() {
    killed = 1;
    atomic {                               /* receiver.pml: DeathOfCaller. A context that it executed is handed to Home */
        if
        :: state == FOREIGN && handled == 1 -> pending = NOBODY; state = OWN
        :: else
        fi
    };
#ifdef BAD_ANSWERING_FIRST
    answering != CALLER_BLOCK;
#endif
#ifndef BAD_NO_WAIT
    !((state == FOREIGN || state == OWN) && sender == CALLER_BLOCK);
    pending != CALLER_BLOCK;
#endif
#if !defined(BAD_ANSWERING_FIRST) && !defined(BAD_NO_ANSWERING_WAIT)
    answering != CALLER_BLOCK;
#endif
    mapped = 0;
    atomic { seq = 0; status = PENDING; life = 2; mapped = 1 };
    run Caller(2)
}

init { atomic { run Caller(1); run Home(); run Other(); run Elsewhere() } }
#endif
