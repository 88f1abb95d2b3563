/*
 * The block pool's free list with its claims, offers left out: no block is had twice and none is lost, whoever is killed at
 * whatever instruction, the recoverer included.
 *
 * Here                   In the code
 * ----                   -----------
 * User: pop              BlockList.TryPop: head, word, link, (help a Releasing word to Free,) compare-and-swap of the head
 * User: claim            BlockPool.TryClaim: Free(s) -> Owned(me, s + 1), else let go
 * User: free             BlockPool.Free: Owned -> Releasing; PoolMemory.PutBack: link, head, Releasing -> Free
 * Recoverer              BlockPoolRecovery: copy the words; ask who is dead; empty the list by pops; put back what was on it, what the dead one had, and
 *                        what is Free, was not on it and has the same word as in the copy
 * kill                   a user stops between any two steps; the recoverer too, and the next one begins from the front
 *
 * tag and sequence count up to a bound that no run reaches, as do real ones (40 and 32 bits) in the time a process can be stopped.
 *
 * Invariants: a claimed block is nobody else's (holders); a push finds the block on no list (on_list); at the end each block is
 * on the list once and Free, except those that a user who lives was left with: none.
 *
 * With LANE there is a second list, that of a CPU on which all users happen to run, one at a time in a section (docs/adr/0019): a step of a section
 * is followed by the next, by the section's end without effect (preempted: from the start again; killed), and by steps of others outside sections.
 *
 * User: lane_pop         Emitter.EmitPerCpuBlockPop: head, link, word := Free, head := link, in a section
 * User: lane_push        Emitter.EmitPerCpuBlockPush: link, head; the word stays Releasing, and its releaser has done
 * Recoverer: lane_pop    CpuVisit: the recoverer is on that CPU, so nobody is in the middle of a section; BLIND: it may not go there
 *
 * With CLOSE a user closes the segment instead of dying: its thread goes on. The tombstone comes between any two steps, and whatever the
 * thread does afterwards goes nowhere, so that here it
 * ends; then, and not before, its party counts as dead (Segment.GiveUpMemory, PartyTable.Leave).
 *
 * Known-bad: BAD_NO_TAG         the head is its index alone
 *            BAD_NO_RELEASING   the word is Free before the block is pushed
 *            BAD_NO_HELP        a Releasing block is popped as it is
 *            BAD_WORD_AFTER     the word is read after the pop, not before
 *            BAD_COPY_LATE      the recoverer copies the words after it has emptied the list
 *            BAD_ASK_LATE       who lives is asked after the list was emptied, not before
 *            BAD_NO_BUMP        a recovered block keeps its sequence
 *            BAD_LANE_DONE      the releaser also does the last step, with an ordinary store after the push
 *            BAD_LANE_FREE      a block is Free before the section that pushes it has committed
 *            BAD_LANE_POPPED    a pop leaves the word Releasing, and the claim takes it from there
 *            BAD_LANE_REMOTE    the recoverer pops a lane as a section does, but from another CPU
 *            BAD_CLOSE_FIRST    with CLOSE: the party counts as dead before the tombstone comes, and its thread makes one more step into
 *                               the real memory
 *            BAD_LANE_BLIND     a recoverer that may not go there takes what is Free or a dead one's Releasing for lost all the same
 */

#ifndef BLOCKS
#define BLOCKS 2
#endif
#ifndef USERS
#define USERS 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef RECOVERER_KILLS
#define RECOVERER_KILLS 1
#endif

#ifdef BAD_LANE_BLIND
#define BLIND
#endif
#define NONE BLOCKS                     /* end of a list */
#define FREE 0
#define OWNED 1
#define RELEASING 2

byte head = 0, tag;                     /* compared and swapped as one */
byte state[BLOCKS], party[BLOCKS], sequence[BLOCKS];         /* a word */
byte next[BLOCKS];
byte holders[BLOCKS];                   /* ghost: live users that were told that they have it */
bit  on_list[BLOCKS];                   /* ghost */
byte kills = KILLS, recoverer_kills = RECOVERER_KILLS, ended, uncleared;
byte lane = NONE;                       /* changed only in sections */
bit  in_section;
bit  dead[USERS], cleared[USERS];

#ifdef BAD_NO_TAG
#define SAME_HEAD(h, t) (head == h)
#else
#define SAME_HEAD(h, t) (head == h && tag == t)
#endif
#define SAME_WORD(i, s, p, q) (state[i] == s && party[i] == p && sequence[i] == q)

/* b = the block popped, or NONE; s, p, q = its word */
inline pop() {
    do
    :: atomic { b = head; t = tag }
        if
        :: b == NONE -> break
        :: else
        fi;
        atomic { s = state[b]; p = party[b]; q = sequence[b] }
        n = next[b];
        if
#ifndef BAD_NO_HELP
        :: s == RELEASING ->
            if
            :: SAME_HEAD(b, t) ->
                if
                :: atomic { SAME_WORD(b, s, p, q) -> state[b] = FREE; party[b] = 0; s = FREE; p = 0 }
                :: atomic { else -> s = 255 }
                fi
            :: atomic { else -> s = 255 }
            fi
#endif
        :: else
        fi;
        if
        :: s == 255                     /* once more */
        :: atomic { s != 255 && SAME_HEAD(b, t) -> head = n; tag++; on_list[b] = 0; n = 0; t = 0 } break
        :: atomic { s != 255 && !SAME_HEAD(b, t) }
        fi
    od
}

inline push(i) {
    do
    :: atomic { n = head; t = tag }
        next[i] = n;
        if
        :: atomic { SAME_HEAD(n, t) -> assert(!on_list[i]); head = i; tag++; on_list[i] = 1; n = 0; t = 0 } break
        :: else
        fi
    od
}

#define PREEMPTED 255

#ifdef LANE
/* b = the block popped, NONE, or PREEMPTED: once more, if it lives; s, p, q = its word */
inline lane_pop(may_enter) {
    if
    :: atomic { lane == NONE -> b = NONE }
    :: atomic { lane != NONE && may_enter -> in_section = 1; b = lane; n = next[b] }
        atomic { s = state[b]; p = party[b]; q = sequence[b] }
        if
        :: atomic { in_section = 0; b = PREEMPTED }
        :: skip ->
#ifndef BAD_LANE_POPPED
            atomic { state[b] = FREE; party[b] = 0; sequence[b] = q; s = FREE; p = 0 }
#endif
            if
            :: atomic { in_section = 0; b = PREEMPTED }
            :: atomic { lane = n; on_list[b] = 0; in_section = 0 }
            fi
        fi;
        n = 0
    fi
}

/* t = 0, or PREEMPTED */
inline lane_push(i) {
    atomic { !in_section -> in_section = 1; n = lane; t = 0 }
    next[i] = n;
    if
    :: atomic { in_section = 0; n = 0; t = PREEMPTED }
    :: atomic { assert(!on_list[i]); lane = i; on_list[i] = 1; in_section = 0; n = 0 }
    fi
}
#endif

#ifdef CLOSE
bit buried[USERS], late[USERS];         /* the tombstone is there, the party does not count as dead yet; or the other way round */

proctype Closer(byte me) {              /* the closing thread's steps after the tombstone */
    atomic { buried[me] -> buried[me] = 0; dead[me] = 1; uncleared++; ended++ }
}
#define GONE(me) kills--; buried[me] = 1; run Closer(me); goto closed
#else
#define GONE(me) kills--; dead[me] = 1; uncleared++; goto gone
#endif

inline maybe_die() {
#ifdef BAD_CLOSE_FIRST
    if
    :: atomic { late[me] -> ended++; goto closed }
    :: atomic { !late[me] && kills > 0 -> kills--; dead[me] = 1; uncleared++; late[me] = 1 }
    :: atomic { !late[me] }
    fi
#else
    if
    :: atomic { kills > 0 -> GONE(me) }
    :: skip
    fi
#endif
}

proctype User(byte me) {
    byte b, t, n, s, p, q, rounds;
    do
    :: rounds == ROUNDS -> break
    :: rounds < ROUNDS ->
        rounds++;
        maybe_die();
#ifdef LANE
        do
        :: lane_pop(!in_section);
            if
            :: b == PREEMPTED -> maybe_die()
            :: else -> break
            fi
        od;
        if
        :: b == NONE -> pop()
        :: else
        fi;
#else
        pop();
#endif
        maybe_die();
        if
        :: b == NONE -> goto next_round
        :: else
        fi;
#ifdef BAD_WORD_AFTER
        atomic { s = state[b]; p = party[b]; q = sequence[b] }
#endif
        if
        :: atomic { SAME_WORD(b, s, p, q) && s != OWNED ->
                state[b] = OWNED; party[b] = me; sequence[b]++; assert(holders[b] == 0); holders[b]++; q = sequence[b]; s = 0; p = 0 }
        :: atomic { else -> goto next_round }
        fi;
        if
#ifdef BAD_CLOSE_FIRST
        :: atomic { late[me] -> holders[b]--; ended++; goto closed }
        :: atomic { !late[me] }
#else
        :: atomic { kills > 0 -> holders[b]--; GONE(me) }
        :: skip
#endif
        fi;
        atomic {
            assert(SAME_WORD(b, OWNED, me, q));
            holders[b]--;
#ifdef BAD_NO_RELEASING
            state[b] = FREE; party[b] = 0
#else
            state[b] = RELEASING
#endif
        }
        maybe_die();
#ifdef LANE
        if
        :: true ->
#ifdef BAD_LANE_FREE
            atomic { state[b] = FREE; party[b] = 0 }
#endif
            do
            :: lane_push(b);
                if
                :: t == PREEMPTED -> t = 0; maybe_die()
                :: else -> break
                fi
            od;
            maybe_die();
#ifdef BAD_LANE_DONE
            atomic { state[b] = FREE; party[b] = 0; sequence[b] = q }
#endif
            goto next_round
        :: true
        fi;
#endif
        push(b);
        maybe_die();
        if
        :: atomic { SAME_WORD(b, RELEASING, me, q) -> state[b] = FREE; party[b] = 0 }
        :: else
        fi;
next_round:
        atomic { b = 0; s = 0; p = 0; q = 0; n = 0; t = 0 }
    od;
gone:
    atomic { ended++ }
closed:
    atomic { b = 0; s = 0; p = 0; q = 0; n = 0; t = 0; rounds = 0 }
}

inline maybe_recoverer_dies() {
    if
    :: atomic { recoverer_kills > 0 -> recoverer_kills--; goto again }
    :: skip
    fi
}

/* d: the dead user it acts for; everything is done in its name */
proctype Recoverer() {
    byte b, t, n, s, p, q, d, i;
    byte was_state[BLOCKS], was_party[BLOCKS], was_sequence[BLOCKS];
    bit popped[BLOCKS], gone[USERS], blind, unfinished;
end:
    do
    :: d_step { i = 0; d = USERS;
            do
            :: i < USERS -> if :: dead[i] && !cleared[i] -> d = i :: else fi; i++
            :: else -> i = 0; break
            od }
        if
        :: d < USERS
        :: d == USERS && ended == USERS && uncleared == 0 && !unfinished -> goto done
        :: d == USERS && ended == USERS && uncleared == 0 && unfinished -> d_step { uncleared++; d = 0; do :: !dead[d] -> d++ :: else -> break od }      /* one that sees all comes along */
        :: d == USERS -> (ended == USERS || uncleared > 0); goto end
        fi;
again:
        skip;
        d_step { i = 0; do :: i < BLOCKS -> popped[i] = 0; i++ :: else -> i = 0; break od }
#ifndef BAD_COPY_LATE
        do
        :: i < BLOCKS -> atomic { was_state[i] = state[i]; was_party[i] = party[i]; was_sequence[i] = sequence[i]; i++ }
        :: else -> i = 0; break
        od;
#endif
#ifndef BAD_ASK_LATE
        skip;
        d_step { do :: i < USERS -> gone[i] = dead[i]; i++ :: else -> i = 0; break od }
#endif
#ifdef LANE
        blind = 0;
        do
#ifdef BLIND
        :: atomic { lane != NONE && !unfinished && !cleared[d] -> blind = 1 } break
#endif
#ifdef BAD_LANE_REMOTE
        :: lane_pop(true);
#else
        :: lane_pop(!in_section);
#endif
            if
            :: b == NONE -> break
            :: b == PREEMPTED
            :: else -> popped[b] = 1; maybe_recoverer_dies()
            fi
        od;
#endif
        do
        :: pop();
            if
            :: b == NONE -> break
            :: else -> popped[b] = 1; maybe_recoverer_dies()
            fi
        od;
#ifdef BAD_COPY_LATE
        do
        :: i < BLOCKS -> atomic { was_state[i] = state[i]; was_party[i] = party[i]; was_sequence[i] = sequence[i]; i++ }
        :: else -> i = 0; break
        od;
#endif
#ifdef BAD_ASK_LATE
        skip;
        d_step { do :: i < USERS -> gone[i] = dead[i]; i++ :: else -> i = 0; break od }
#endif
        do
        :: i == BLOCKS -> break
        :: i < BLOCKS ->
            atomic {
                s = was_state[i]; p = was_party[i]; q = was_sequence[i];
                if
                :: popped[i] -> s = state[i]; p = party[i]; q = sequence[i]
                :: else
                fi
            }
            if
#ifdef BAD_LANE_BLIND
            :: popped[i] || s == FREE || gone[p] ->
#else
            :: popped[i] || (!blind && s == FREE) || ((!blind || s == OWNED) && gone[p]) ->       /* of a live user's Owned or Releasing, or perhaps on the lane: leave it alone */
#endif
                if
                :: atomic { SAME_WORD(i, s, p, q) -> state[i] = RELEASING; party[i] = d;
#ifndef BAD_NO_BUMP
                        sequence[i]++;
#endif
                        q = sequence[i] }
                    maybe_recoverer_dies();
                    push(i);
                    maybe_recoverer_dies();
                    if
                    :: atomic { SAME_WORD(i, RELEASING, d, q) -> state[i] = FREE; party[i] = 0 }
                    :: else
                    fi
                :: else
                fi
            :: else
            fi;
            i++
        od;
        atomic { cleared[d] = 1; uncleared--; unfinished = blind; blind = 0; i = 0; b = 0; s = 0; p = 0; q = 0; n = 0; t = 0 }
    od;
done:
    skip;
    /* rest: all users have ended, all dead ones are cleared away */
    d_step {
        i = 0;
        do
        :: i < BLOCKS -> assert(on_list[i]); assert(state[i] == FREE || (lane != NONE && state[i] == RELEASING)); i++
        :: else -> break
        od;
        b = head; n = 0;
        do
        :: b != NONE && n <= BLOCKS -> n++; b = next[b]
        :: else -> break
        od;
        b = lane;
        do
        :: b != NONE && n <= BLOCKS -> n++; b = next[b]
        :: else -> break
        od;
        assert(n == BLOCKS)
    }
}

init {
    byte i;
    d_step {
        do
        :: i < BLOCKS -> next[i] = i + 1; on_list[i] = 1; i++
        :: else -> break
        od;
        i = 0
    }
    atomic {
        do
        :: i < USERS -> run User(i); i++
        :: else -> break
        od;
        run Recoverer()
    }
}
