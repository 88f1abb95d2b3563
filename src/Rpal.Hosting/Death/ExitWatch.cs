using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Death;

/// <summary>
/// Stands by while the threads of a member end: each that executes a foreign context stops once more with its registers
/// (PTRACE_EVENT_EXIT), also when it is killed by SIGKILL, and the context is brought home.
/// </summary>
/// <remarks>
/// <para>Comes back: a TID, as a stranger's. It is looked at before it is seized, and again before anything is believed of it.</para>
/// For an end that the host is told of before it happens, or brings about: exit_group, a fatal signal, a kill by the host. Being
/// traced costs nothing until a signal comes, and a traced thread's signals cost 10 to 70 us each, so only a family that asks
/// for it is traced all its life (docs/adr/0013). One thread, because all requests for a thread must come from the one that seized it.
/// <code>
/// seize all ──► (the process ends) ──► exit stop: rescue, detach ──► ... ──► nobody left
///                    other stops: go on                  not ended in time, or its execve has failed: this thread ends, which detaches all
/// </code></remarks>
internal sealed unsafe class ExitWatch
{
    /// <summary>How long an announced end may take before the watch is given up.</summary>
    private const int PatienceMs = 10_000;

    private const long LookNs = 100_000;
    private const int EventShift = 8, SignalMask = 0xFF;

    /// <summary>One a slot: its thread was started when the member attached, and waits. At the end there may be no descriptor to start one with.</summary>
    private static readonly ExitWatch?[] s_standby = new ExitWatch?[FamilyLayout.MemberCapacity];

    private readonly Family _family;
    private readonly int _member, _pid;
    private readonly bool _forLife;
    private Func<bool>? _isPending;
    private readonly TaskCompletionSource<bool> _called = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<bool> _seized = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private ExitWatch(Family family, int member, int pid, bool forLife) => (_family, _member, _pid, _forLife) = (family, member, pid, forLife);

    /// <summary>Seizes the threads of a member that is about to end. Returns once no context can be lost any more.</summary>
    /// <param name="family">Its family.</param>
    /// <param name="member">Its index.</param>
    /// <param name="pid">Its process.</param>
    /// <param name="isPending">Whether the end may still come; null: for <see cref="PatienceMs"/>.</param>
    /// <returns>Whether it could: not without permission (ptrace(2)), not when somebody else traces it.</returns>
    public static bool Begin(Family family, int member, int pid, Func<bool>? isPending = null)
    {
        ExitWatch? watch = Interlocked.Exchange(ref s_standby[member], null);
        if (watch is null)
        {
            // a second announcement of the same end
            return new ExitWatch(family, member, pid, forLife: false) { _isPending = isPending }.Start();
        }

        watch._isPending = isPending;
        watch._called.SetResult(true);
        return watch._seized.Task.GetAwaiter().GetResult();
    }

    /// <summary>Has a thread wait for <see cref="Begin"/>, so that this can be done then whatever the host has run out of.</summary>
    public static void StandBy(Family family, int member, int pid)
    {
        Dismiss(member);
        var watch = new ExitWatch(family, member, pid, forLife: false);
        if (watch.TryStart(() =>
        {
            if (watch._called.Task.GetAwaiter().GetResult())
            {
                watch.Run();
            }
        }))
        {
            s_standby[member] = watch;
        }
    }

    /// <summary>The member's end has come in another way.</summary>
    public static void Dismiss(int member)
    {
        if (Interlocked.Exchange(ref s_standby[member], null) is { } watch)
        {
            watch._called.SetResult(false);
        }
    }

    /// <summary>Seizes a member that was just started, with all threads that it will have.</summary>
    /// <returns>As <see cref="Begin"/>.</returns>
    public static bool BeginForLife(Family family, int member, int pid) => new ExitWatch(family, member, pid, forLife: true).Start();

    private bool Start() => TryStart(Run) && _seized.Task.GetAwaiter().GetResult();

    /// <returns>False: the host is out of descriptors, memory or threads.</returns>
    private bool TryStart(Action run)
    {
        try
        {
            GuardedThread.Start($"watch, slot {_member}", run, _family.Notice, () => _seized.TrySetResult(false));
            return true;
        }
        catch (Exception e) when (e is OutOfMemoryException or ThreadStateException)
        {
            return false;
        }
    }

    private void Run()
    {
        bool seized = _forLife ? Seize(_pid, PtraceOptions.TraceExit | PtraceOptions.TraceClone) : SeizeCallers();
        _seized.TrySetResult(seized);
        long until = Environment.TickCount64 + PatienceMs;
        const int everything = WaitOptions.Exited | WaitOptions.Stopped | WaitOptions.AnyChild | WaitOptions.OwnThreadOnly | WaitOptions.NoWait;
        while (_forLife || (_isPending?.Invoke() ?? Environment.TickCount64 < until))
        {
            int r = Sys.Wait(0, everything | (_forLife ? 0 : WaitOptions.NoHang), out SigInfoChild info);
            if (r == -(int)Errno.ECHILD)
            {
                return;
            }

            if (r == 0 && info.Pid != 0 && !Take(info))
            {
                return;
            }

            if (r == 0 && info.Pid == 0)
            {
                uint never = 0;
                _ = Sys.FutexWait(&never, 0, LookNs);
            }
        }
    }

    /// <summary>Threads without a block have never called and never been called.</summary>
    private bool SeizeCallers()
    {
        bool all = true;
        for (int t = 0; t < FamilyLayout.ThreadCapacity; t++)
        {
            int tid = Volatile.Read(ref MemberBlock.Thread(_member, t)->Tid);
            if (tid == 0)
            {
                break;
            }

            if (IsOurs(tid))                                     // a block is released late: the number may be another process's by now
            {
                all &= Seize(tid, PtraceOptions.TraceExit);
            }
        }

        return all;
    }

    private bool IsOurs(int tid) => Sys.Access($"/proc/{_pid}/task/{tid}") >= 0;

    private static bool Seize(int tid, int options) => Sys.Ptrace(PtraceRequest.Seize, tid, 0, options) is 0 or -(int)Errno.ESRCH;

    /// <returns>False when the process has ended: reaping it is the member's business.</returns>
    private bool Take(in SigInfoChild info)
    {
        int tid = info.Pid;
        if (info.Code is SignalCode.CldExited or SignalCode.CldKilled or SignalCode.CldDumped)
        {
            return tid != _pid && Sys.Wait(tid, WaitOptions.Exited | WaitOptions.AnyChild, out _) == 0;
        }

        _ = Sys.Wait(tid, WaitOptions.Stopped | WaitOptions.AnyChild | WaitOptions.NoHang, out _);
        int what = info.Status >> EventShift, signal = info.Status & SignalMask;
        switch (what)
        {
            case PtraceEvent.Exit:
                Rescue(tid);
                _ = Sys.Ptrace(PtraceRequest.Detach, tid, 0, 0);
                break;
            case PtraceEvent.Stop when signal is Signal.SIGSTOP or Signal.SIGTSTP or Signal.SIGTTIN or Signal.SIGTTOU:
                _ = Sys.Ptrace(PtraceRequest.Listen, tid, 0, 0);
                break;
            default:
                _ = Sys.Ptrace(PtraceRequest.Cont, tid, 0, what == 0 ? signal : 0);
                break;
        }

        return true;
    }

    private void Rescue(int tid)
    {
        if (!IsOurs(tid))                                        // it became another process's between look and seizure; now it is held, and says so
        {
            return;
        }

        for (int t = 0; t < FamilyLayout.ThreadCapacity; t++)
        {
            ThreadBlock* thread = MemberBlock.Thread(_member, t);
            if (thread->Tid == 0)
            {
                return;
            }

            if (thread->Tid == tid && thread->Current is not null)
            {
                if (SavedContext.OfThread(tid, static rip => rip >= FamilyLayout.CodeBase && rip < FamilyLayout.CodeBase + FamilyLayout.CodeBytes) is { } context)
                {
                    new BorrowedReceivers(_family).Rescue(thread, context);
                }

                return;
            }
        }
    }
}
