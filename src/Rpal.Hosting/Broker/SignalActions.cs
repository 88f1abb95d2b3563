using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Broker;

/// <summary>
/// The signal actions of an attached member. The kernel holds the family's trampoline for every signal that the program
/// handles; what the program asked for is kept here and in the member block, where the trampoline finds it.
/// </summary>
/// <remarks>
/// Actions belong to the process, so the host asks the member's agent thread to change them. Records are immutable once
/// published: a trampoline reads one address, then the record behind it. Used by the member's broker thread only.
/// <code>
/// program: rt_sigaction(SIGTERM, h) ─► broker: publish record h ─► agent: rt_sigaction(SIGTERM, trampoline)
/// SIG_DFL and SIG_IGN go to the kernel as they are, so that children inherit them
/// </code></remarks>
internal sealed unsafe class SignalActions
{
    private const int SignalCount = 64;

    /// <summary>How long the agent may take for one call; it waits in the kernel and does nothing else.</summary>
    private const long AgentTimeoutNs = 1_000_000_000;

    private readonly MemberBlock* _member;
    private readonly int _hostPid = Environment.ProcessId;
    private int _nextRecord;

    public SignalActions(MemberBlock* member) => _member = member;

    /// <summary>Actions taken over.</summary>
    public int Count { get; private set; }

    /// <summary>Takes over every signal that has a handler, and SIGSYS.</summary>
    /// <returns>0 or -errno.</returns>
    public nint Attach()
    {
        if (_member->Attached != 0)
        {
            return 0;
        }

        for (int signal = 1; signal <= SignalCount; signal++)
        {
            if (signal is Signal.SIGKILL or Signal.SIGSTOP)
            {
                continue;
            }

            nint r = AskAgent(signal, null);
            if (r < 0)
            {
                return r;
            }

            KernelSigaction* record = Publish(signal, *Exchanged);
            if (IsFunction(record->Handler) || signal == Signal.SIGSYS)
            {
                r = Install(signal, record);
                if (r < 0)
                {
                    return r;
                }
            }
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

        KernelSigaction* before = (KernelSigaction*)_member->Actions[signal];
        if (old != 0 && Sys.ProcessVmWritev(_hostPid, old, before, KernelSigaction.SizeBytes) != KernelSigaction.SizeBytes)
        {
            return -(int)Errno.EFAULT;
        }

        if (act == 0)
        {
            return 0;
        }

        if (IsFunction(wanted.Handler) || signal == Signal.SIGSYS)
        {
            return Install(signal, Publish(signal, wanted));
        }

        nint r = AskAgent(signal, &wanted);     // kernel first: no handler may run after
        if (r == 0)
        {
            _ = Publish(signal, wanted);
        }

        return r;
    }

    private static bool IsFunction(nint handler) => handler is not (0 or 1);

    private KernelSigaction* Publish(int signal, KernelSigaction action)
    {
        KernelSigaction* record = (KernelSigaction*)((byte*)_member + MemberBlock.ActionRecordsOffset) + _nextRecord++ % MemberBlock.ActionRecordCount;
        *record = action;
        Volatile.Write(ref _member->Actions[signal], (long)record);
        return record;
    }

    /// <summary>The family's trampoline, with the flags asked for. SA_ONSTACK stays as it was: CoreCLR's activation handler must run
    /// on the interrupted stack. All signals are blocked until the trampoline knows whose context it is in.</summary>
    private nint Install(int signal, KernelSigaction* asked)
    {
        KernelSigaction action = new()
        {
            Handler = (nint)FamilyHeader.At->Trampolines[_member->Index],
            Flags = (asked->Flags & ~SignalActionFlags.ResetHandler)                      // SA_RESETHAND: a lazy switch delivers twice
                | SignalActionFlags.SigInfo | SignalActionFlags.Restorer,
            Restorer = FamilyHeader.At->Address(Routine.Restorer),
            Mask = ulong.MaxValue,
        };
        nint r = AskAgent(signal, &action);
        Count += r == 0 ? 1 : 0;
        return r;
    }

    /// <summary>What the agent reads and writes. Shared memory, not this stack: a member that was stopped in between answers late.</summary>
    private KernelSigaction* Exchanged => (KernelSigaction*)((byte*)_member + MemberBlock.ActionRecordsOffset) + MemberBlock.ActionRecordCount;

    /// <summary>Makes the agent set an action, or with null read the present one into <see cref="Exchanged"/>.</summary>
    private nint AskAgent(int signal, KernelSigaction* wanted)
    {
        uint* word = &_member->AgentWord;
        if (!AwaitAgent(word))
        {
            return -(int)Errno.ESRCH;                            // still at the question before
        }

        if (wanted is not null)
        {
            *Exchanged = *wanted;
        }

        _member->AgentCall = SyscallNumber.RtSigaction;
        (_member->AgentArguments[0], _member->AgentArguments[3]) = (signal, sizeof(ulong));
        (_member->AgentArguments[1], _member->AgentArguments[2]) = wanted is null ? (0L, (long)Exchanged) : ((long)Exchanged, 0L);
        Volatile.Write(ref *word, MemberBlock.AgentAsked);
        _ = Sys.FutexWake(word, 1);
        if (!AwaitAgent(word))
        {
            return -(int)Errno.ESRCH;                            // the member has no agent, or is dying
        }

        nint result = (nint)_member->AgentResult;
        Volatile.Write(ref *word, MemberBlock.AgentIdle);
        return result;
    }

    private static bool AwaitAgent(uint* word)
    {
        long until = Environment.TickCount64 + AgentTimeoutNs / 1_000_000;
        while (Volatile.Read(ref *word) == MemberBlock.AgentAsked)
        {
            if (Environment.TickCount64 > until)
            {
                return false;
            }

            _ = Sys.FutexWait(word, MemberBlock.AgentAsked, AgentTimeoutNs / 10);
        }

        return true;
    }
}
