using System.Diagnostics;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Internal;

/// <summary>The slow half of a call: its first choice of receiver was not ready. Tries the others, then waits for one, until the deadline.</summary>
/// <remarks>
/// SYNC receiver-waiters: an answer stores Ready, then looks at the waiters, without a fence between. So a waiter announces
/// itself, makes every CPU of the family pass a barrier (membarrier: one address space, so one call reaches all members), and
/// only then looks for a Ready receiver. Whoever missed the announcement has its Ready visible by then. The announcement is a
/// flag that whoever wakes takes back, not a count: a waiter that is killed leaves at most one wake-up too many. The sequence is
/// read before the flag is set, so that a wake-up for an earlier announcement is not slept through.
/// </remarks>
internal readonly unsafe struct CallWait(ServiceEntry* entry, ulong registration, Peer peer, long place, nint[] receivers)
{
    /// <summary>Looks at all receivers this often before it goes to sleep: a handler that is just ending.</summary>
    private const int LooksBeforeSleep = 64;

    /// <summary>How often a sleeping waiter looks at its cancellation token.</summary>
    private const long CancellationSliceNs = 20_000_000;

    private readonly ServiceEntry* _entry = entry;

    public CallStatus Run(CallFrame* frame, Deadline deadline, CancellationToken cancellationToken)
    {
        var call = (delegate* unmanaged<ThreadBlock*, ReceiverBlock*, CallFrame*, uint>)MemberRuntime.Header->Address(Routine.Call);
        ThreadBlock* sender = ThreadArmory.Current;
        long until = deadline.ToTimestamp();
        for (int look = 0; look < LooksBeforeSleep; look++)
        {
            if (Look(call, sender, frame) is { } status)
            {
                return status;
            }

            cancellationToken.ThrowIfCancellationRequested();
            if (Stopwatch.GetTimestamp() >= until)
            {
                return CallStatus.Busy;
            }

            Thread.SpinWait(1 + look);
        }

        sender->WaitsFor = _entry;
        try
        {
            return WaitForReceiver(call, sender, frame, until, cancellationToken);
        }
        finally
        {
            sender->WaitsFor = null;
        }
    }

    private CallStatus WaitForReceiver(delegate* unmanaged<ThreadBlock*, ReceiverBlock*, CallFrame*, uint> call, ThreadBlock* sender, CallFrame* frame, long until, CancellationToken cancellationToken)
    {
        while (true)
        {
            uint seen = Volatile.Read(ref _entry->ReadySequence);
            Volatile.Write(ref _entry->Waiters, 1);
            _ = Sys.Membarrier(MembarrierCommand.PrivateExpedited, 0);
            if (Look(call, sender, frame) is { } status)
            {
                return status;
            }

            cancellationToken.ThrowIfCancellationRequested();
            long left = until - Stopwatch.GetTimestamp();
            if (left <= 0)
            {
                return CallStatus.Busy;
            }

            long leftNs = until == long.MaxValue ? -1 : (long)Math.Min(left / (double)Stopwatch.Frequency * 1e9, long.MaxValue / 2);
            if (cancellationToken.CanBeCanceled)
            {
                leftNs = leftNs < 0 ? CancellationSliceNs : Math.Min(leftNs, CancellationSliceNs);
            }

            _ = Sys.FutexWait(&_entry->ReadySequence, seen, leftNs);
        }
    }

    /// <summary>Tries every receiver once. Null: all are in use.</summary>
    private CallStatus? Look(delegate* unmanaged<ThreadBlock*, ReceiverBlock*, CallFrame*, uint> call, ThreadBlock* sender, CallFrame* frame)
    {
        if (IsOpen(out bool disabled) && disabled)
        {
            return null;                                         // it may be enabled again
        }

        int dead = 0;
        for (int i = 0; i < receivers.Length; i++)
        {
            uint result = call(sender, (ReceiverBlock*)receivers[i], frame);
            switch (result)
            {
                case CallResult.Answered:
                    sender->LastReceiver[place] = receivers[i];
                    return CallStatus.Answered;
                case CallResult.PeerDied:
                    return CallStatus.PeerDied;
                case CallResult.NotReady | (uint)ReceiverState.Dead:
                    dead++;
                    break;
                case CallResult.NotOwn:
                    throw ThreadArmory.GsIsTaken();
            }
        }

        return dead < receivers.Length && IsOpen(out _) ? null   // all stopped, but open: disabled just then
            : dead > 0 || !peer.IsAlive ? CallStatus.PeerDied
            : CallStatus.Closed;
    }

    /// <summary>Whether the entry is still our service's. Receivers that are busy to the end wake nobody: they may serve another by then.</summary>
    private bool IsOpen(out bool disabled)
    {
        var state = (ServiceState)Volatile.Read(ref *(uint*)&_entry->State);
        disabled = state == ServiceState.Disabled;
        return peer.IsAlive && state is not (ServiceState.Gone or ServiceState.Free) && Volatile.Read(ref _entry->Registration) == registration;
    }
}
