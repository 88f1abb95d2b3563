using Rpal.Linux;
using Rpal.Machine.Blocks;
using Rpal.Machine.Emit;

namespace Rpal.Hosting.Death;

/// <summary>Tells everybody who has a call in a dead member: its receivers become Dead, their senders get PeerDied.</summary>
/// <remarks>
/// <code>
/// store Gone ── full barrier ── look at every receiver:
///   Ready, Own       nobody can be in it any more            ► Dead, its pending sender is told
///   Foreign          a sender's kernel thread executes it    ► signal that thread: it switches lazily, finds Gone, marks Dead
/// </code>
/// SYNC pending-gone: pairs with the exchange of Pending and the look at the state in the lazy switch.
/// </remarks>
internal sealed unsafe class DeathReport(Family family, int index)
{
    /// <summary>How long the member's end waits for threads that execute its contexts. One that does not take a signal that long is stopped; it is looked after until the slot is given back.</summary>
    private const int ChaseMs = 200;

    /// <summary>Between two looks; doubled each time, because the signals queue.</summary>
    private const long FirstLookNs = 1_000_000;

    private bool _swept;

    /// <summary>The first address in its blocks that was expected to be a block's and is none; null: all were.</summary>
    public string? Strange { get; private set; }

    /// <summary>From here on nobody enters the member, and whoever waits for it is told. What is still executed elsewhere comes with <see cref="Run"/>.</summary>
    public void Announce()
    {
        RetireReady();
        family.SetState(index, MemberState.Gone);
        _ = Sys.Membarrier(MembarrierCommand.PrivateExpedited, 0);
        _ = Sweep();
    }

    /// <summary>After <see cref="Announce"/>: returns when nobody is in the member any more, or is stopped there.</summary>
    public void Run()
    {
        family.Directory.MemberGone(index);
        long look = FirstLookNs;
        for (long begin = Environment.TickCount64; !Look() && Environment.TickCount64 - begin < ChaseMs; look *= 2)
        {
            uint never = 0;
            _ = Sys.FutexWait(&never, 0, look);
        }
    }

    /// <summary>Again, for those that were stopped.</summary>
    /// <returns>Whether nobody is in the member any more.</returns>
    public bool Look()
    {
        if (!_swept && !Sweep())
        {
            _swept = true;
            family.Directory.MemberSwept(index);
        }

        return _swept;
    }

    /// <summary>
    /// Before anybody can be told of the death: nobody who was told should find a receiver that still answers. Without its registration
    /// a receiver refuses whoever claims it, should a thread that was stopped inside make it Ready once more.
    /// </summary>
    private void RetireReady()
    {
        for (int i = 0; i < FamilyLayout.ReceiverCapacity; i++)
        {
            Volatile.Write(ref MemberBlock.Receiver(index, i)->Registration, 0);
            _ = Interlocked.CompareExchange(ref MemberBlock.Receiver(index, i)->StateWord, (uint)ReceiverState.Dead,
                (uint)ReceiverState.Ready);
        }
    }

    /// <returns>Whether some receiver is still executed by somebody.</returns>
    private bool Sweep()
    {
        bool foreign = false;
        for (int i = 0; i < FamilyLayout.ReceiverCapacity; i++)
        {
            ReceiverBlock* r = MemberBlock.Receiver(index, i);
            uint word = Volatile.Read(ref r->StateWord);
            ReceiverState seen = (ReceiverState)(byte)word;
            if (seen == ReceiverState.Init)
            {
                continue;
            }

            Tell(&r->Pending, ref r->PendingSequence);
            Tell(&r->Answering, ref r->AnsweringSequence);
            if (seen is ReceiverState.Ready or ReceiverState.Own)
            {
                foreign |= Interlocked.CompareExchange(ref r->StateWord, (uint)ReceiverState.Dead, word) != word;
            }
            else if (seen == ReceiverState.Foreign && BlockAddress.ClaimerOf(word) is null)
            {
                Strange ??= $"0x{word:x} as state of a receiver";
                foreign |= Interlocked.CompareExchange(ref r->StateWord, (uint)ReceiverState.Dead, word) != word;
            }
            else if (seen == ReceiverState.Foreign)
            {
                foreign = true;
                EvictFrom(r);
            }
        }

        return foreign;
    }

    private void Tell(ThreadBlock** from, ref uint sequenceOf)
    {
        nint address = Interlocked.Exchange(ref *(nint*)from, 0);
        ThreadBlock* sender = BlockAddress.Thread(address);
        if (sender is null)
        {
            Strange ??= address == 0 ? null : $"0x{address:x} as sender of a call";
            return;
        }

        uint sequence = Volatile.Read(ref sequenceOf);           // written before the sender: read before it, it could be an earlier call's
        uint* reply = &sender->Reply;                            // SYNC reply: pairs with wait_reply
        uint seen = Volatile.Read(ref *reply);
        while ((seen & ~3u) == sequence && (seen & 3) is CallResult.Pending or CallResult.Asleep)
        {
            uint before = Interlocked.CompareExchange(ref *reply, sequence | CallResult.PeerDied, seen);
            if (before == seen)
            {
                _ = Sys.FutexWake(reply, 1);
                return;
            }

            seen = before;
        }

        _ = Sys.FutexWake(reply, 1);                             // answered, but its thread may have died before it woke the sender
    }

    /// <summary>Whether a receiver's context is one of those that a kernel thread is in: the innermost, or one that waits for it.</summary>
    private static bool Executes(ThreadBlock* thread, ReceiverBlock* r)
    {
        ReceiverBlock* one = BlockAddress.Receiver(&thread->Current);
        for (int depth = 0; one is not null && depth < FamilyLayout.ReceiverCapacity; depth++)
        {
            if (one == r)
            {
                return true;
            }

            ThreadBlock* sender = BlockAddress.Thread(&one->Sender);
            one = sender is null || sender == thread ? null : BlockAddress.Receiver(&sender->OwnReceiver);
        }

        return false;
    }

    /// <summary>Signals every kernel thread that executes this receiver's context.</summary>
    private void EvictFrom(ReceiverBlock* r)
    {
        foreach (int m in family.Members())
        {
            for (int t = 0; t < FamilyLayout.ThreadCapacity; t++)
            {
                ThreadBlock* thread = MemberBlock.Thread(m, t);
                int tid = Volatile.Read(ref thread->Tid);
                if (tid == 0)
                {
                    break;                                       // blocks are handed out from the first on
                }

                if (family.StateOf(m) == MemberState.Running && Executes(thread, r))
                {
                    _ = Sys.Tgkill(family.PidOf(m), tid, SystemCall.Activation);
                }
            }
        }
    }
}
