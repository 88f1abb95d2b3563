using Rpal.Linux;
using Rpal.Machine.Blocks;
using Rpal.Machine.Emit;

namespace Rpal.Hosting.Broker;

/// <summary>
/// The signal actions of an attached member. The kernel holds the family's trampoline for every signal that the program
/// handles; what the program asked for is kept here and in the member block, where the trampoline finds it.
/// </summary>
/// <remarks>
/// Actions belong to the process, so the host asks the member's agent thread to change them. Records are immutable once
/// published: a trampoline reads one address, then the record behind it. Each signal has records of its own, used in turn.
/// Used by the member's broker thread only.
/// <code>
/// program: rt_sigaction(SIGTERM, h) ─► broker: publish record h ─► agent: rt_sigaction(SIGTERM, trampoline)
/// SIG_IGN goes to the kernel as it is, so that children inherit it; SIG_DFL too unless it ends the process: exec makes a handler the default again
/// </code></remarks>
internal sealed unsafe class SignalActions
{
    private const int SignalCount = 64;

    /// <summary>How long the agent may take for one call: it waits in the kernel and does nothing else, but on a loaded machine its thread may only just be starting.</summary>
    private const long AgentTimeoutNs = 10_000_000_000;

    private readonly MemberBlock* _member;
    private readonly int _hostPid = Environment.ProcessId;
    private readonly int[] _nextRecord = new int[SignalCount + 1];

    public SignalActions(MemberBlock* member) => _member = member;

    /// <summary>Takes over every signal that has a handler, and SIGSYS.</summary>
    /// <returns>0 or -errno.</returns>
    public nint Attach()
    {
        if (_member->Attached != 0)
        {
            return 0;
        }

        if (AgentIsBehind)
        {
            return -(int)Errno.ESRCH;
        }

        int count = 0;
        foreach (int signal in Catchable())
        {
            Steps[count++] = Step(signal, null, &OldActions[signal]);
        }

        nint r = AskAgent(count);
        if (r < 0)
        {
            return r;
        }

        count = 0;
        foreach (int signal in Catchable())
        {
            KernelSigaction* record = Publish(signal, OldActions[signal]);
            if (IsOurs(signal, *record))
            {
                NewActions[signal] = Trampoline(signal, record);
                Steps[count++] = Step(signal, &NewActions[signal], null);
            }
        }

        r = AskAgent(count);
        if (r < 0)
        {
            return r;
        }

        Volatile.Write(ref _member->Attached, 1);
        return 0;
    }

    /// <summary>rt_sigaction of a member.</summary>
    /// <returns>Its result, or null: not attached yet, or nothing for us: let the kernel do it.</returns>
    public nint? Change(int signal, nint act, nint old, ulong setBytes)
    {
        if (_member->Attached == 0 || signal is < 1 or > SignalCount or Signal.SIGKILL or Signal.SIGSTOP || setBytes != sizeof(ulong))
        {
            return null;
        }

        KernelSigaction wanted = default;
        if (act != 0 && Sys.ProcessVmReadv(_hostPid, act, &wanted, KernelSigaction.SizeBytes) != KernelSigaction.SizeBytes)
        {
            return -(int)Errno.EFAULT;
        }

        KernelSigaction* before = RecordAt(signal, Volatile.Read(ref _member->Actions[signal]));
        if (before is null)
        {
            return -(int)Errno.EFAULT;                           // written over
        }

        if (old != 0 && Sys.ProcessVmWritev(_hostPid, old, before, KernelSigaction.SizeBytes) != KernelSigaction.SizeBytes)
        {
            return -(int)Errno.EFAULT;
        }

        if (act == 0)
        {
            return 0;
        }

        if (AgentIsBehind)
        {
            return -(int)Errno.ESRCH;
        }

        bool handled = IsOurs(signal, wanted);
        NewActions[signal] = handled ? Trampoline(signal, Publish(signal, wanted)) : wanted;
        Steps[0] = Step(signal, &NewActions[signal], null);
        nint r = AskAgent(1);
        if (!handled && r == 0)
        {
            _ = Publish(signal, wanted);                         // only now: a handler may have run until then
        }

        return r;
    }

    private SystemCallStep* Steps => (SystemCallStep*)((byte*)_member + MemberBlock.AgentStepMemory);

    private KernelSigaction* NewActions => (KernelSigaction*)((byte*)_member + MemberBlock.AgentNewActions);

    private KernelSigaction* OldActions => (KernelSigaction*)((byte*)_member + MemberBlock.AgentOldActions);

    /// <summary>An earlier call was given up; its steps are still the agent's.</summary>
    private bool AgentIsBehind => Volatile.Read(ref _member->AgentWord) == MemberBlock.AgentAsked;

    private static IEnumerable<int> Catchable() => Enumerable.Range(1, SignalCount).Where(s => s is not (Signal.SIGKILL or Signal.SIGSTOP));

    private static SystemCallStep Step(int signal, KernelSigaction* act, KernelSigaction* old)
    {
        SystemCallStep step = new() { Number = SyscallNumber.RtSigaction, Required = 1 };
        (step.Arguments[0], step.Arguments[1], step.Arguments[2], step.Arguments[3]) = (signal, (long)act, (long)old, sizeof(ulong));
        return step;
    }

    /// <summary>Whether the trampoline stands before the action: a handler, or a default that ends the process, which the host is told of first.</summary>
    private static bool IsOurs(int signal, in KernelSigaction action) => signal == Signal.SIGSYS
        || action.Handler is not (SignalHandler.Default or SignalHandler.Ignore)
        || (action.Handler == SignalHandler.Default && (SystemCall.EndsProcess >> (signal - 1) & 1) != 0);

    /// <summary>One of the signal's records; null: the address is none.</summary>
    private KernelSigaction* RecordAt(int signal, long address)
    {
        long offset = address - (long)Record(signal, 0);
        bool isRecord = offset >= 0 && offset < MemberBlock.ActionRecordsPerSignal * KernelSigaction.SizeBytes && offset % KernelSigaction.SizeBytes == 0;
        return isRecord ? (KernelSigaction*)address : null;
    }

    private KernelSigaction* Record(int signal, int turn) =>
        (KernelSigaction*)((byte*)_member + MemberBlock.ActionRecordsOffset) + (signal - 1) * MemberBlock.ActionRecordsPerSignal + turn;

    private KernelSigaction* Publish(int signal, KernelSigaction action)
    {
        int turn = _nextRecord[signal];
        _nextRecord[signal] = (turn + 1) % MemberBlock.ActionRecordsPerSignal;
        KernelSigaction* record = Record(signal, turn);
        *record = action;
        Volatile.Write(ref _member->Actions[signal], (long)record);
        return record;
    }

    /// <summary>The family's trampoline, with the flags asked for. SA_ONSTACK stays as it was: CoreCLR's activation handler must run
    /// on the interrupted stack. SIGSYS never gets it: a system call in place goes on below its frame. All signals are blocked until the trampoline knows whose context it is in.</summary>
    private KernelSigaction Trampoline(int signal, KernelSigaction* asked) => new()
    {
        Handler = (nint)FamilyHeader.At->Trampolines[BlockAddress.MemberOf(_member)],
        Flags = (asked->Flags & ~(SignalActionFlags.ResetHandler | (signal == Signal.SIGSYS ? SignalActionFlags.OnStack : 0))) | SignalActionFlags.SigInfo | SignalActionFlags.Restorer,     // a lazy switch delivers twice
        Restorer = FamilyHeader.At->Address(Routine.Restorer),
        Mask = ulong.MaxValue,
    };

    /// <returns>0, the first failed call's -errno, or -ESRCH when the agent does not answer: the member is dying.</returns>
    private nint AskAgent(int count)
    {
        _member->AgentSteps = Steps;
        _member->AgentStepCount = count;
        uint* word = &_member->AgentWord;
        Volatile.Write(ref *word, MemberBlock.AgentAsked);
        _ = Sys.FutexWake(word, 1);
        long until = Environment.TickCount64 + AgentTimeoutNs / 1_000_000;
        while (Volatile.Read(ref *word) == MemberBlock.AgentAsked)
        {
            if (Environment.TickCount64 > until || _member->State != MemberState.Running)
            {
                return -(int)Errno.ESRCH;
            }

            _ = Sys.FutexWait(word, MemberBlock.AgentAsked, AgentTimeoutNs / 100);
        }

        Volatile.Write(ref *word, MemberBlock.AgentIdle);
        foreach (ref readonly SystemCallStep step in new ReadOnlySpan<SystemCallStep>(Steps, count))
        {
            if (step.Result < 0)
            {
                return (nint)step.Result;
            }
        }

        return 0;
    }
}
