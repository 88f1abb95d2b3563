/* Whose a thread block is. Threads come and go; a child has its creator's GS (clone) and the stack, so the FS, of whoever ended before it.
 *
 *   create            clone: GS copied, FS = a free one           end        its FS is free (glibc's stack cache), its block is not
 *   call              call_any: which block is this context's?    arm        ThreadArmory.Take: free block, or that of an ended thread
 *
 * The block is the thread's own: a thread-static, fresh for each thread. BAD_FS: that behind GS, if its fs is this thread's (memory layout 3).
 * BAD_FS_HANG: the same, seen at the answer.
 *
 * Invariants: who is let in is armed itself, so that Syscall User Dispatch is on; nobody else calls with its block; at the answer it finds `current` as it left it.
 */
#define T 4
#define B 2
#ifndef CALLS
#define CALLS 1
#endif
#define NONE 255
byte gs[T], fs[T], own[T];            /* own: thread-static */
bool armed[T];                        /* the kernel thread: prctl done */
bool alive[T], born[T];
byte b_fs[B], b_tid[B], b_current[B]; /* b_current: 1 + the thread inside, 0 */
byte fresh = 0, created = 1;
bool fs_used[T];

inline arm(me) {
    atomic {                          /* under the armory's lock */
        byte i = 0; byte got = NONE;
        do
        :: i < fresh -> if :: got == NONE && !alive[b_tid[i]] -> got = i :: else fi; i++
        :: else -> break
        od;
        if :: got == NONE && fresh < B -> got = fresh; fresh++ :: else fi;
        if
        :: got != NONE -> b_tid[got] = me; b_current[got] = 0; b_fs[got] = fs[me]; gs[me] = got; own[me] = got; armed[me] = true
        :: else
        fi
    }
}

proctype Thread(byte me) {
    byte block; byte calls = 0;
    do
    :: created < T -> atomic {                     /* create */
           if
           :: created < T ->
               byte child = created; byte f = 0; created++;
               do :: fs_used[f] -> f++ :: else -> break od;     /* the first that is free: as the cache gives it */
               fs_used[f] = true; fs[child] = f; gs[child] = gs[me]; own[child] = NONE; alive[child] = true; run Thread(child)
           :: else
           fi
       }
    :: calls < CALLS -> calls++;
       if
#if defined(BAD_FS) || defined(BAD_FS_HANG)
       :: gs[me] != NONE && b_fs[gs[me]] == fs[me] -> block = gs[me]
       :: else -> arm(me); block = own[me]
#else
       :: own[me] != NONE -> block = own[me]
       :: else -> arm(me); block = own[me]
#endif
       fi;
       if
       :: block != NONE ->
#ifndef BAD_FS_HANG
           assert(b_current[block] == 0);                       /* nobody else is in a call with it */
#endif
           b_current[block] = me + 1;                           /* entry */
#ifndef BAD_FS_HANG
           assert(armed[me]);                                   /* the handler's system calls are caught */
#endif
           assert(b_current[gs[me]] == me + 1);                 /* exit_check: or it goes to answer_home */
           b_current[block] = 0
       :: else
       fi
    :: me != 0 || created == T -> break                         /* end */
    od;
    skip; d_step { alive[me] = false; fs_used[fs[me]] = false; block = 0; calls = 0 }
}

init {
    atomic { byte k = 0;
        do :: k < T -> gs[k] = NONE; own[k] = NONE; k++ :: else -> break od;
        fs_used[0] = true; fs[0] = 0; alive[0] = true; run Thread(0) }
}
