/*
 * The word of a buffer's lock while one of its processes closes the segment: its thread goes on, its number is another's at once.
 *
 * Here                   In the code
 * ----                   -----------
 * Thread: take           BufferLock.TryWrite: compare-and-swap; TryAccept: a look, then a store
 * Thread, Peer: leave    BufferLock.TryLeave: a look, then a store
 * Peer: hand over        OwnedBuffer.HandOver: is it entered, look, store, is it still entered, else take back
 * Closer                 Segment.GiveUpMemory: the tombstone; PartyTable.Leave: recover, entry Free, lock released
 * Looker                 OwnedBuffer.LookForDead: what is on its way to one that has left; what is held by the number is taken for the next
 *                        one's, who lives
 *
 * A thread whose process has put the tombstone goes on, and what it does goes nowhere: here it ends. Until then each of its steps is made
 * in the real memory.
 *
 * Invariants: what the peer holds stays as it took it; at the end nobody holds the buffer; the peer always gets it (no deadlock).
 *
 * Known-bad: BAD_CLOSE_FIRST     what the party held is given back before the tombstone comes
 */

#ifndef ROUNDS
#define ROUNDS 2
#endif

#define FREE 0
#define HELD 1
#define ON_ITS_WAY 2
#define CLOSING 0                       /* parties */
#define PEER 1

byte state = FREE, holder, version;     /* the word */
bit entered = 1, buried, left;
byte ended;

#define IS(s, h, v) (state == s && holder == h && version == v)
#define SET(s, h, v) state = s; holder = h; version = v

proctype Thread() {
    byte v, rounds;
    do
    :: buried -> break
    :: atomic { !buried && rounds < ROUNDS && state == FREE -> rounds++; v = version; SET(HELD, CLOSING, v) }
leave:
        if
        :: buried -> break
        :: atomic { !buried && IS(HELD, CLOSING, v) }
            if
            :: buried -> break
            :: atomic { !buried -> SET(FREE, 0, v + 1) }
            fi
        :: atomic { !buried && !IS(HELD, CLOSING, v) } break        /* Corrupt */
        fi
    :: atomic { !buried && state == ON_ITS_WAY && holder == CLOSING -> v = version }
        if
        :: buried -> break
        :: atomic { !buried -> SET(HELD, CLOSING, v) } goto leave
        fi
    od;
    atomic { ended++; v = 0; rounds = 0 }
}

proctype Peer() {
    byte v, rounds;
    do
    :: rounds == ROUNDS -> break
    :: atomic { rounds < ROUNDS && state == FREE -> v = version; SET(HELD, PEER, v); rounds++ }
        if
        :: true
        :: entered ->
            atomic { assert(IS(HELD, PEER, v)) }
            atomic { SET(ON_ITS_WAY, CLOSING, v) }
            if
            :: entered -> goto next_round
            :: atomic { !entered && IS(ON_ITS_WAY, CLOSING, v) -> SET(HELD, PEER, v) }
            :: atomic { !entered && !IS(ON_ITS_WAY, CLOSING, v) } goto next_round
            fi
        fi;
        atomic { assert(IS(HELD, PEER, v)) }
        atomic { SET(FREE, 0, v + 1) }
next_round:
        skip
    od;
    atomic { ended++; v = 0 }
}

inline recover() {
    do
    :: atomic { v = version; s = state; h = holder }
        if
        :: s == FREE || h != CLOSING -> break
        :: else ->
            if
            :: atomic { IS(s, h, v) -> SET(FREE, 0, v + 1) } break
            :: atomic { else }
            fi
        fi
    od;
    entered = 0
}

proctype Closer() {
    byte v, s, h;
#ifdef BAD_CLOSE_FIRST
    recover();
    buried = 1;
#else
    buried = 1;
    recover();
#endif
    atomic { left = 1; ended++; v = 0; s = 0; h = 0 }
}

proctype Looker() {
end:
    do
    :: atomic { left && state == ON_ITS_WAY && holder == CLOSING -> SET(FREE, 0, version + 1) }
    od
}

proctype Rest() {
    ended == 3 && state != ON_ITS_WAY;
    assert(state == FREE)
}

init {
    atomic { run Thread(); run Peer(); run Closer(); run Looker(); run Rest() }
}
