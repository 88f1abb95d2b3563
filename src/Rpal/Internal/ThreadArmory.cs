using Rpal.Linux;
using Rpal.Machine.Blocks;
using Rpal.Machine.Emit;
using Rpal.Machine.Platform;

namespace Rpal.Internal;

/// <summary>Arms threads: gives each its block, GS and Syscall User Dispatch, at its first call. A thread that never calls pays nothing.</summary>
/// <remarks>
/// A block is released when its kernel thread is gone, not when its managed thread says so: until then the kernel reads the
/// selector in it. Each arming looks at a few others, so that the number of blocks stays below twice the threads alive plus a
/// constant, however many come and go.
/// <para>Comes back: a block, when its TID is gone (a new thread with that number releases it as well). Its reply sequence goes on, so that
/// an answer to the earlier owner's call is not taken for one to this one's.</para>
/// </remarks>
internal static unsafe class ThreadArmory
{
    /// <summary>Blocks looked at per arming.</summary>
    private const int LookedAtPerArming = 2;

    private static readonly Lock s_lock = new();
    private static readonly Stack<int> s_free = new();
    private static readonly List<int> s_used = [];
    private static readonly Dictionary<int, int> s_byTid = [];
    private static int s_fresh, s_next;

    /// <summary>Blocks that are in use or not yet known to be free.</summary>
    public static int BlocksInUse
    {
        get
        {
            lock (s_lock)
            {
                return s_used.Count;
            }
        }
    }

    /// <summary>The calling thread's block, armed.</summary>
    /// <exception cref="RpalException">Not a member, not supported, or more threads than <see cref="FamilyLayout.ThreadCapacity"/>.</exception>
    public static ThreadBlock* Current
    {
        get
        {
            ThreadBlock* block = ArmedThread.Block;
            return block is not null ? block : Arm();
        }
    }

    private static ThreadBlock* Arm()
    {
        MemberRuntime.Attach();
        MemberBlock* member = MemberRuntime.Member;
        int tid = Sys.GetTid(), index = Take(member, tid);
        ThreadBlock* block = MemberBlock.Thread(member->Index, index);
        *block = new ThreadBlock
        {
            Tid = tid,
            Pid = member->Pid,
            Member = member,
            Index = index,
            ClaimWord = ThreadBlock.ClaimWordOf(member->Index, index),
            Reply = block->Reply & ~3u,                          // goes on: no answer to an earlier thread's call is taken for one of this
            ErrorText = MemberBlock.ErrorText(member->Index, index),
            SpinBudgetCycles = MemberRuntime.Header->SpinLimitCycles,
            Account = ThreadAccount.At(member->Index, index),
            InjectCountdown = s_injectReload,
            InjectReload = s_injectReload,
        };
        block->Account->Used = 1;
        OpenMask();
        PerCpuThread.Move(block);                                // while its system calls are its own
        int r = ((delegate* unmanaged<ThreadBlock*, int>)MemberRuntime.Header->Address(Routine.Arm))(block);
        if (r < 0)
        {
            PerCpuThread.Forget(block);
            Release(tid);
            throw r == -(int)Errno.EBUSY ? GsIsTaken()
                : new RpalException(RpalError.Unsupported,
                new PlatformReport([PlatformFinding.FromCall(PlatformFeature.Dispatch, "prctl", r)]).Refusal!);
        }

        PerCpuThread.Armed();
        return ArmedThread.Block = block;
    }

    /// <summary>
    /// Opens the mask for the two signals without which a call goes wrong: the kernel kills a process that blocks the one which dispatch
    /// raises, and a
    /// context is called home by the other. Native libraries start their threads, and libc its timers', with all signals blocked.
    /// </summary>
    private static void OpenMask()
    {
        ulong needed = 1ul << Signal.SIGSYS - 1 | 1ul << SystemCall.Activation - 1;
        _ = Sys.RtSigprocmask(SignalMaskHow.Unblock, &needed, null);             // fails for no valid argument
    }

    /// <summary>Why a thread cannot call, or be armed.</summary>
    public static RpalException GsIsTaken() => new(RpalError.Unsupported,
        $"Thread {Sys.GetTid()} of this process has another GS base than one of Rpal's: some library sets GS (arch_prctl, wrgsbase). "
        + "Call from a thread that it does not use.");

    private static readonly uint s_injectReload = uint.TryParse(Environment.GetEnvironmentVariable("RPAL_TEST_INJECT_EVERY"), out uint every) ? every : 0;

    private static int Take(MemberBlock* member, int tid)
    {
        lock (s_lock)
        {
            if (s_byTid.ContainsKey(tid))
            {
                Release(tid);                                    // its earlier owner is gone, or we would not have its number
            }

            for (int i = 0; i < LookedAtPerArming && s_used.Count > 0; i++)
            {
                s_next = s_next >= s_used.Count ? 0 : s_next;
                ThreadBlock* other = MemberBlock.Thread(member->Index, s_used[s_next++]);
                if (Sys.Tgkill(other->Pid, other->Tid, 0) == -(int)Errno.ESRCH)
                {
                    Release(other->Tid);
                }
            }

            if (!s_free.TryPop(out int index))
            {
                index = s_fresh < FamilyLayout.ThreadCapacity ? s_fresh++ : throw new RpalException(RpalError.LimitReached,
                    $"{s_used.Count} threads of this process make or take calls, the limit (ThreadCapacity) is {FamilyLayout.ThreadCapacity}. Call from fewer threads.");
            }

            MemberBlock.Thread(member->Index, index)->Tid = tid;   // here: whoever looks through the blocks stops at the first that nobody has had
            s_used.Add(index);
            s_byTid[tid] = index;
            return index;
        }
    }

    private static void Release(int tid)
    {
        lock (s_lock)
        {
            if (s_byTid.Remove(tid, out int index))
            {
                s_used.Remove(index);
                s_free.Push(index);
            }
        }
    }
}
