using Rpal.Hosting.Broker;
using Rpal.Hosting.Death;
using Rpal.Hosting.Loading;
using Rpal.Linux;
using Rpal.Machine.Accounting;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting;

/// <summary>How a member's process ended.</summary>
/// <param name="ExitCode">Its exit code, or 128 + signal as a shell says it.</param>
/// <param name="Signal">The signal that killed it, or 0.</param>
public readonly record struct MemberExit(int ExitCode, int Signal)
{
    internal static MemberExit Of(in SigInfoChild info)
    {
        const int exited = 1;                                    // CLD_EXITED, waitid(2)
        return info.Code == exited ? new(info.Status, 0) : new(128 + info.Status, info.Status);
    }

    /// <summary>Somebody else in the host has taken it: counts as a failure of the host's.</summary>
    internal static MemberExit Unknown => new(125, 0);

    /// <summary>"exit code 3", "killed by SIGKILL".</summary>
    public override string ToString() => Signal == 0 ? $"exit code {ExitCode}" : $"killed by {SignalName.Of(Signal)}";
}

/// <summary>One running member, as the host sees it.</summary>
/// <remarks>
/// Comes back: its PID once it is reaped, its slot once that is given back, also while its process runs on as another program. Signals go
/// through the pidfd, and to its group while it is not reaped. Who acts on the slot asks <see cref="Slot"/>; later members there have another
/// <see cref="Generation"/>.
/// <code>
/// Running ── execve has succeeded ──► Left: told, slot reclaimed ── process ends ──► Ended: reaped, exit code told
///    └───────────────── process ends ──► told, reaped, exit code told ──► slot reclaimed
/// </code>
/// Whoever announces the one or the other owns the slot from then on: the thread that saw it leave, or the one that saw it end.
/// </remarks>
internal sealed unsafe class Member
{
    private readonly TaskCompletionSource<MemberExit> _exit = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _reclaimed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly MemberBlock* _block;
    private readonly Family _family;
    private readonly int _pidfd;
    private readonly Action<string> _notice;
    private readonly Lock _pidfdLock = new();
    private readonly OpeningBalance _opening;
    private readonly ulong _receivedAtStart;
    private readonly Lock _announcing = new();
    private readonly TaskCompletionSource _told = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ExecWatch _execs;
    private bool _pidfdClosed, _announced, _hasLeft;

    private Member(Family family, MemberDefinition definition, int index, int pid, int pidfd, SyscallBroker broker, Action<string> notice)
    {
        _notice = notice;
        _family = family;
        Definition = definition;
        Index = index;
        Pid = pid;
        _pidfd = pidfd;
        Broker = broker;
        _block = MemberBlock.At(index);
        Generation = family.GenerationOf(index);
        _opening = new OpeningBalance(index);
        _receivedAtStart = TimeAccount.ReceivedBy(index);
        _execs = ExecWatch.Of(pid, () => Volatile.Read(ref _announced) || _exit.Task.IsCompleted);
    }

    public MemberDefinition Definition { get; }

    /// <summary>Of the slot that it was started in.</summary>
    public int Index { get; }

    /// <summary>The same as long as the slot is its; null once it has executed another program.</summary>
    public int? Slot => Volatile.Read(ref _hasLeft) ? null : Index;

    public int Pid { get; }

    /// <summary>Which of the family's starts it is: tells it from a later member in the same slot.</summary>
    public ulong Generation { get; }

    public SyscallBroker Broker { get; }

    /// <summary>Completes when the process has ended and everybody who waited for it was told.</summary>
    public Task<MemberExit> Exit => _exit.Task;

    /// <summary>Completes when its slot can be used again. Usually right after <see cref="Exit"/>, see <see cref="SlotReclaim"/>.</summary>
    public Task Reclaimed => _reclaimed.Task;

    /// <summary>Its CPU time, and whose work that was; null once it has ended or left the family.</summary>
    public MemberTime? Time
    {
        get
        {
            lock (_pidfdLock)
            {
                return _pidfdClosed || _hasLeft ? null : TimeAccount.Of(Index, Pid, _opening, _receivedAtStart);     // the number may be another process's by now
            }
        }
    }

    /// <summary>Loads the program into a free slot and starts it. See <see cref="MemberTask.Start"/> about the calling thread. <paramref name="notice"/> gets lines for the operator.</summary>
    /// <remarks><code>
    /// program opened ► slot taken, found empty, area readable ► program mapped ► task runs ► member Running ► served
    ///       │                   │ slot returned                   │ slot reclaimed   │ killed     │ killed, ended like others
    /// </code>Nobody sees a half started member: its area is there before anything is mapped for it, and says Running once there is a process.</remarks>
    /// <exception cref="MemberStartException">It cannot be started; nothing of it runs.</exception>
    public static Member Start(Family family, MemberDefinition definition, int stdin, int stdout, int stderr, Action<string> notice, Action<int, MemberTask.Started>? beforeServing = null)
    {
        using MemberImage image = MemberImage.Open(definition);
        (int index, SlotSpace space) = EmptySlot(family, definition.Name, notice);
        Member? member = null;
        try
        {
            MemberBlock* block = MemberBlock.At(index);
            (long entry, long stackPointer) = image.Map(definition.Name, space, block);
            string executable = image.Program.File.RealPath;
            image.Dispose();                                     // its descriptors are the next steps'
            MemberTask.Started task = MemberTask.Start(definition.Name, index, entry, stackPointer, image.Directory, stdin, stdout, stderr, family.ParentDeathSignal);
            member = Adopt(family, definition, index, task, space, executable, notice);
            member.Serve(task, beforeServing);
            return member;
        }
        catch (Exception) when (member is null)
        {
            _ = SlotReturn.AwaitAsync(family, index, notice);    // the host's thread has others to look after
            throw;
        }
    }

    /// <summary>Whether its program could be started, as far as its files say so. Starts nothing, from any thread.</summary>
    /// <exception cref="MemberStartException">It could not, as <see cref="Start"/> would say it.</exception>
    public static void Check(MemberDefinition definition) => MemberImage.Open(definition).Dispose();

    /// <summary>The process runs already, and is killed when the host cannot look after it.</summary>
    private static Member Adopt(Family family, MemberDefinition definition, int index, MemberTask.Started task, SlotSpace space, string executable, Action<string> notice)
    {
        try
        {
            MemberBlock* block = MemberBlock.At(index);
            family.Adopt(index, task.Pid);
            var broker = new SyscallBroker(task.Listener, task.Pid, task.Pidfd, space, executable, block, family, notice)
            {
                LastReceived = family.LastReceived is null ? null : family.LastReceived + index,
            };
            var member = new Member(family, definition, index, task.Pid, task.Pidfd, broker, notice);
            family.SetState(index, MemberState.Running);
            return member;
        }
        catch
        {
            _ = MemberTask.End(task.Pid, task.Pidfd);
            _ = Sys.Close(task.Listener);
            _ = Sys.Close(task.Pidfd);
            throw;
        }
    }

    /// <summary>A copy of its seccomp listener, or -errno.</summary>
    public int CopyListener() => Broker.CopyListener();

    /// <summary>A copy of its pidfd, or -errno: it has ended.</summary>
    public int CopyProcess()
    {
        lock (_pidfdLock)
        {
            return _pidfdClosed ? -(int)Errno.EBADF : Sys.DuplicateFrom(_pidfd, 0);
        }
    }

    /// <summary>A kill by the host loses nothing that the member had borrowed.</summary>
    public void Send(int signal)
    {
        lock (_pidfdLock)
        {
            if (_pidfdClosed)
            {
                return;                                          // number and slot may be another member's by now
            }

            if (signal == Signal.SIGKILL && !_hasLeft && _block->Attached != 0)
            {
                _ = ExitWatch.Begin(_family, Index, Pid);
            }

            _ = Sys.PidfdSendSignal(_pidfd, signal);
        }
    }

    /// <summary>From here on it is served and its end awaited. When that fails it is killed, and has ended when the exception comes.</summary>
    private void Serve(MemberTask.Started task, Action<int, MemberTask.Started>? beforeServing)
    {
        bool isServed = false;
        try
        {
            beforeServing?.Invoke(Index, task);                        // the descriptors are still open for sure
            if (_family.TraceMembers && !ExitWatch.BeginForLife(_family, Index, Pid))
            {
                _notice("cannot be traced (ptrace is refused, or somebody else traces it): a SIGKILL inside a handler loses the receiver.");
            }

            Broker.Leaving = Leaving;
            Broker.Start(Definition.Name);
            isServed = true;
            GuardedThread.Start($"exit {Definition.Name}", AwaitExit, _notice, () => _reclaimed.TrySetResult());
        }
        catch
        {
            _ = Sys.PidfdSendSignal(_pidfd, Signal.SIGKILL);
            if (!isServed)
            {
                _ = Sys.Close(task.Listener);                    // else its broker does
            }

            if (AwaitEnd() is { } report)
            {
                _ = SlotReturn.AwaitAsync(_family, Index, _notice, report).ContinueWith(_ => _reclaimed.SetResult(), TaskScheduler.Default);
            }

            throw;
        }
    }

    /// <summary>Takes slots until one is empty, and makes its area readable. One that is not empty stays taken: nobody else could use it
    /// either.</summary>
    /// <exception cref="MemberStartException">There is none, or its area cannot be used.</exception>
    private static (int Index, SlotSpace Space) EmptySlot(Family family, string name, Action<string> notice)
    {
        while (true)                                             // each round has one slot less
        {
            int index = family.Slots.Take(name);
            var space = new SlotSpace(index);
            string? occupant;
            try
            {
                occupant = space.Occupant();
                if (occupant is null)
                {
                    _ = family.PrepareArea(index);
                    return (index, space);
                }
            }
            catch
            {
                family.Slots.Return(index);                      // nothing was mapped in it
                throw;
            }

            notice($"slot 0x{space.Base:x} is not empty ({occupant}): it is left out, and another is taken. {family.Slots.LeaveOut()} slots of {FamilyLayout.MemberCapacity} are left.");
        }
    }

    private void AwaitExit()
    {
        const long sliceNs = 100_000;
        _ = Sys.SchedSetSlice(sliceNs);                           // callers of a dead member wait for this thread, while others compute
        try
        {
            if (AwaitEnd() is not { } report)
            {
                return;                                          // it had left before, and the slot is another thread's business
            }

            SlotReturn.Await(_family, Index, _notice, report);
        }
        catch (Exception e)                                      // an error of the host's: its slot is lost, the family goes on
        {
            _notice($"an error in the host after its end, its slot {Index} is not used again: {e.OneLine()}. That is a fault of Rpal: please report it.");
            _ = _exit.TrySetResult(MemberExit.Unknown);
        }

        _reclaimed.SetResult();
    }

    private void NoteStray()
    {
        int stray = Volatile.Read(ref FamilyHeader.At->StrayedPid);
        if ((stray == Pid || stray == -Pid) && Interlocked.CompareExchange(ref FamilyHeader.At->StrayedPid, 0, stray) == stray)
        {
            _notice(stray < 0
                ? "was ended by Rpal: some library sets GS (arch_prctl, wrgsbase) in its handlers or in its threads that call. Rpal needs GS there."
                : "ended itself: one of its threads stood in another member's context, which it was not lent. That is a fault of Rpal: please report it.");
        }
    }

    /// <summary>Brings home what its threads execute for others, and starts a watch. By the broker's thread, before the member's execve goes
    /// on.</summary>
    /// <param name="tid">The thread that asks.</param>
    private void Leaving(int tid)
    {
        // Where its memory cannot be read (ptrace_scope), nobody could see it leave. And a search through PATH makes one call after the
        // other.
        if (!AddressSpace.IsSharedBy(tid) || !_execs.Ask(tid))
        {
            return;
        }

        _ = _block->Attached != 0 && ExitWatch.Begin(_family, Index, Pid, () => _execs.IsPending);
        try
        {
            GuardedThread.Start($"exec {Definition.Name}", AwaitLeaving, _notice, () =>
            {
                _ = _told.TrySetResult();                        // its end goes on
                _ = Slot is null && _reclaimed.TrySetResult();   // its slot is lost, the family goes on
            });
        }
        catch (Exception e) when (e is OutOfMemoryException or ThreadStateException)
        {
            _execs.GiveUp();                                     // no thread to be had: its callers learn it at its end
        }
    }

    private void AwaitLeaving()
    {
        if (!_execs.Await())
        {
            StandByAgain();
        }
        else if (Announce(hasLeft: true) is { } report)
        {
            Leave(report);
        }
    }

    /// <summary>After an execve that failed: the watch of its end was used up by it.</summary>
    private void StandByAgain()
    {
        lock (_announcing)
        {
            if (!_announced && _block->Attached != 0)            // before its end is announced, which dismisses the watch
            {
                ExitWatch.StandBy(_family, Index, Pid);
            }
        }
    }

    /// <summary>Does what its end would do but for the process, which goes on as another program.</summary>
    private void Leave(DeathReport report)
    {
        try
        {
            bool isAttached = _block->Attached != 0;
            lock (_pidfdLock)
            {
                _hasLeft = true;                                 // from here on nobody acts on the slot in its name
            }

            Broker.MemberEnded();
            ExitWatch.Dismiss(Index);
            report.Run();
            _family.Aio.DestroyOf(Index);
            if (isAttached)
            {
                _notice("executed another program and so left the family: its services and calls, if it had any, have ended as by its death.");
            }
        }
        finally
        {
            _told.SetResult();
        }

        SlotReturn.Await(_family, Index, _notice, report);
        _reclaimed.SetResult();
    }

    /// <summary>Tells callers and gives back what its threads had borrowed, once: at its end or when it has left, whatever comes
    /// first.</summary>
    /// <returns>What is to be run on; null: it was told.</returns>
    private DeathReport? Announce(bool hasLeft)
    {
        DeathReport report;
        var borrowed = new BorrowedReceivers(_family);
        List<LostReceiver> lostReceivers;
        lock (_announcing)
        {
            if (_announced)
            {
                return null;
            }

            report = new DeathReport(_family, Index);
            report.Announce();
            lostReceivers = borrowed.GiveBack(Index);
            _announced = true;
        }

        foreach (LostReceiver lost in lostReceivers)
        {
            _family.ReceiverLost?.Invoke(lost.Member, lost.Generation, lost.Describe(Definition.Name, hasLeft));
        }

        if ((report.Strange ?? borrowed.Strange) is { } strange)
        {
            _notice($"its blocks in the family's region were written over ({strange}). The host does not follow them; the others go on.");
        }

        return report;
    }

    /// <returns>What is left to do for the slot; null: it had left before, and whoever saw that does it.</returns>
    private DeathReport? AwaitEnd()
    {
        SigInfoChild info;
        PollFd ended = new() { Fd = _pidfd, Events = PollEvents.In };
        while (Sys.Poll(&ended, 1, -1) <= 0)                      // not waitid: it also tells the stops of a traced child
        {
        }

        DeathReport? report = Announce(hasLeft: false);             // first: callers wait, and the broker may be waiting for the dead
        if (report is not null)
        {
            Broker.MemberEnded();
            ExitWatch.Dismiss(Index);
        }

        _ = Sys.Kill(-Pid, Signal.SIGKILL);                         // what it started and left behind in its group; the zombie keeps the number ours
        int reaped;
        while ((reaped = Sys.WaitPidfd(_pidfd, WaitOptions.Exited, out info)) == -(int)Errno.EINTR)
        {
        }

        TaskSteps.Forget(Pid);
        if (report is not null)
        {
            report.Run();
            _family.Aio.DestroyOf(Index);                         // callers know; before anybody starts it again: its requests may still be writing
        }
        else
        {
            _told.Task.GetAwaiter().GetResult();                 // as long as the same two take on the other thread
        }

        NoteStray();                                             // after the report: what members write comes last
        lock (_pidfdLock)
        {
            _pidfdClosed = true;
            _ = Sys.Close(_pidfd);
        }

        if (reaped < 0)
        {
            _notice($"its exit code is lost ({ErrnoText.Describe(reaped)}): something else in the host waits for its children.");
        }

        _exit.SetResult(reaped < 0 ? MemberExit.Unknown : MemberExit.Of(info));
        return report;
    }
}
