using Rpal.Linux;
using Rpal.Machine.Blocks;
using Rpal.Machine.Emit;

namespace Rpal.Hosting.Death;

/// <summary>A receiver whose context was lost with the kernel thread that executed it.</summary>
/// <param name="Member">Index of the member whose receiver it was.</param>
/// <param name="Generation">Which start of that member: its slot may be another's by the time that somebody acts on this.</param>
/// <param name="Service">Its service.</param>
internal readonly record struct LostReceiver(int Member, ulong Generation, string Service)
{
    /// <summary>How every report of such a loss can be told from other notices.</summary>
    public const string Told = "inside a handler of its service";

    /// <param name="member">The member whose thread executed it.</param>
    /// <param name="hasLeft">Whether that one lives, as another program.</param>
    public string Describe(string member, bool hasLeft = false) =>
        $"{member} {(hasLeft ? "executed another program" : "was killed")} {Told} {Service}: what that handler held is lost";
}

/// <summary>Gives back what a dying or dead member's kernel threads had borrowed: the receivers of others whose contexts they executed.</summary>
/// <remarks>
/// A thread executes a chain of contexts: the innermost receiver, below it the receiver whose handler called it, and so on.
/// <code>
/// innermost   its frame is written already (a lazy switch was under way)      ► goes on at home
///             at rest: not entered yet, or the handler has returned           ► Ready
///             in its handler, registers known (the thread was traced)         ► frame written, goes on at home
///             in its handler, registers gone with the thread                  ► Dead, and reported: its process must be started anew
/// below it    waits for the call it made: everything is on its stack          ► goes on at home, waiting, or is told PeerDied
/// elsewhere   claimed by the thread, not entered: the state word says so      ► Ready
///             answered for the thread: pending                                ► nobody waits any more
/// </code>
/// Comes back: the index of the member whose receiver was lost, before the report is acted on. The report has its generation.
/// Whoever gives a receiver back also wakes those who wait for one of its service: the thread may have died before it could.
/// </remarks>
internal sealed unsafe class BorrowedReceivers(Family family)
{
    /// <summary>Contexts on one kernel thread: more than the receivers of a member cannot be.</summary>
    private const int DepthLimit = FamilyLayout.ReceiverCapacity;

    /// <summary>One at a time: two members may die together.</summary>
    private static readonly Lock s_lock = new();

    private readonly IReadOnlyDictionary<string, long> _labels = family.Code.Labels;

    /// <summary>The first address in the member's blocks that was expected to be a block's and is none, or not the thread's; null:
    /// all were.</summary>
    public string? Strange { get; private set; }

    /// <summary>Of a thread that stands in its exit stop: what it executes goes on at home.</summary>
    public void Rescue(ThreadBlock* thread, SavedContext context)
    {
        lock (s_lock)
        {
            _ = Unwind(thread, context);
        }
    }

    /// <summary>Of a member whose process is gone.</summary>
    /// <returns>What could not be given back.</returns>
    public List<LostReceiver> GiveBack(int member)
    {
        lock (s_lock)
        {
            List<LostReceiver> lost = [];
            for (int t = 0; t < FamilyLayout.ThreadCapacity; t++)
            {
                ThreadBlock* thread = MemberBlock.Thread(member, t);
                if (thread->Tid == 0)
                {
                    break;                                       // blocks are handed out from the first on
                }

                if (Unwind(thread, null) is { } one && one.Member != member)
                {
                    lost.Add(one);
                }
            }

            lost.AddRange(SettleAll(member));
            return lost;
        }
    }

    /// <summary>Again, until the slot is given back: what others carried for the dead member when it ended.</summary>
    /// <returns>As <see cref="GiveBack(int)"/>.</returns>
    public List<LostReceiver> SettleLeft(int member)
    {
        lock (s_lock)
        {
            return SettleAll(member);
        }
    }

    private List<LostReceiver> SettleAll(int member)
    {
        List<LostReceiver> lost = [];
        foreach (int m in family.Members())
        {
            for (int i = 0; m != member && i < FamilyLayout.ReceiverCapacity; i++)
            {
                if (Settle(MemberBlock.Receiver(m, i), member) is { } one)
                {
                    lost.Add(one);
                }
            }
        }

        WakeAllWaiters();
        return lost;
    }

    /// <summary>Ends the chain of contexts on a kernel thread, from the innermost outwards.</summary>
    /// <param name="thread">The thread that is gone, or stands in its exit stop.</param>
    /// <param name="registers">Its registers, when they are known.</param>
    private LostReceiver? Unwind(ThreadBlock* thread, SavedContext? registers)
    {
        ReceiverBlock* r = Executed(&thread->Current, thread, out ThreadBlock* sender);
        if (r is null)
        {
            return null;
        }

        SavedContext? below = Innermost(r, sender, registers, out LostReceiver? lost);
        for (int depth = 0; sender is not null && depth < DepthLimit; depth++)
        {
            r = Executed(&sender->OwnReceiver, thread, out sender);
            if (r is null)
            {
                break;
            }

            below!.WriteFrame(r);
            GoHome(r, sender);
            below = Waiting(sender, below);
        }

        thread->Current = null;
        return lost;
    }

    /// <summary>The receiver that a word of a thread names, if that thread executes it: it is Foreign, claimed by its sender.</summary>
    /// <param name="word">Where the thread's, or a sender's, block says which.</param>
    /// <param name="thread">The thread.</param>
    /// <param name="sender">Who called the receiver, or null when that ended with the thread.</param>
    private ReceiverBlock* Executed(ReceiverBlock** word, ThreadBlock* thread, out ThreadBlock* sender)
    {
        nint address = Volatile.Read(ref *(nint*)word);
        ReceiverBlock* r = BlockAddress.Receiver(address);
        ThreadBlock* claimer = r is null ? null : BlockAddress.Thread(&r->Sender);
        bool executes = claimer is not null && Volatile.Read(ref r->StateWord) == BlockAddress.ClaimWordOf(claimer);
        Strange ??= executes || address == 0 ? null : $"0x{address:x} as receiver that a thread executes";
        sender = executes && claimer != thread ? claimer : null;
        return executes ? r : null;
    }

    /// <returns>The context that called it: null when it ended with the thread.</returns>
    private SavedContext? Innermost(ReceiverBlock* r, ThreadBlock* sender, SavedContext? registers, out LostReceiver? lost)
    {
        lost = null;
        if (r->Frame != 0)
        {
            GoHome(r, sender);
            return Waiting(sender, null);
        }

        SavedContext? context = registers is null ? null : Interrupted(registers);
        if (r->InHandler == 0)
        {
            GiveBack(r);
            return sender is null ? null
                : context is null ? Refused(sender)                // not entered or answered: nobody knows
                : IsIn(context, "entry_selector", "handler_enter") || context.Rip == _labels["entry_retry"] ? context.CallAgain(_labels["entry_retry"], sender)
                : SavedContext.At(_labels["exit_return"], sender->Rsp, 0, context);
        }

        ThreadBlock* home = BlockAddress.Thread(&r->Home);
        if (home is not null && WaitsForInner(home))
        {
            context = Waiting(home, context);
        }

        if (context is null)
        {
            lost = Lose(r);
            return Refused(sender);
        }

        if (home is not null && (context.Rip == _labels["exit_end"] || context.Rip == _labels["entry_retry"]))
        {
            // The trampoline had taken the sender back, and not given the receiver free yet.
            GiveBackClaimsOf(home);
        }

        context.WriteFrame(r);
        GoHome(r, sender);
        return Waiting(sender, context);
    }

    private void GiveBackClaimsOf(ThreadBlock* sender)
    {
        foreach (int m in family.Members())
        {
            for (int i = 0; i < FamilyLayout.ReceiverCapacity; i++)
            {
                ReceiverBlock* r = MemberBlock.Receiver(m, i);
                uint claim = BlockAddress.ClaimWordOf(sender);
                if (Volatile.Read(ref r->StateWord) == claim && r->Frame == 0 && r->InHandler == 0)
                {
                    GiveBack(r, claim);
                }
            }
        }
    }

    /// <summary>A context whose call will not be answered.</summary>
    private SavedContext? Refused(ThreadBlock* sender)
    {
        if (sender is not null)
        {
            (sender->Mxcsr, sender->X87Control) = (SavedContext.InitialMxcsr, SavedContext.InitialX87Control);
            _ = NextSequence(sender, CallResult.PeerDied);
        }

        return Waiting(sender, null);
    }

    /// <summary>A context that waits for the reply to a call it made: all that it needs lies on its stack.</summary>
    /// <remarks>It goes on where it looks at every value of the word: it may have announced that it sleeps, and the spin before would take that for a reply.</remarks>
    private SavedContext? Waiting(ThreadBlock* sender, SavedContext? like)
    {
        const int roomBelow = 256;                               // as the lazy switch leaves it
        return sender is null ? null : SavedContext.At(_labels["reply_sleep"], (sender->Rsp - roomBelow) & -16, (nint)sender, like);
    }

    /// <summary>Whether a receiver's context, of the thread that is its home, waits for the answer of another, lazily switched or just
    /// about to be; that one then goes on.</summary>
    /// <remarks>An answer that is just being written says nothing: the word looks the same before it comes and after it was taken. Then the context counts as lost.</remarks>
    private bool WaitsForInner(ThreadBlock* home)
    {
        bool waits = (home->Reply & 3) != 0;
        foreach (int m in family.Members())
        {
            for (int i = 0; i < FamilyLayout.ReceiverCapacity; i++)
            {
                ReceiverBlock* inner = MemberBlock.Receiver(m, i);
                if (inner->Sender != home)
                {
                    continue;
                }

                if (inner->State == ReceiverState.Foreign && inner->Frame != 0)
                {
                    GoHome(inner, home);
                    waits = true;
                }
                else if (inner->State == ReceiverState.Own && inner->Pending == home)
                {
                    FinishWake(inner);
                    waits = true;
                }
            }
        }

        return waits;
    }

    /// <summary>
    /// The context that a thread in the trampoline had interrupted, as its lazy switch would have moved it; any other as it is, but for one inside a
    /// per-CPU section: that starts again, as the kernel would have had it on any way out but this one.
    /// </summary>
    private SavedContext? Interrupted(SavedContext context)
    {
        foreach (PerCpuSection section in family.Code.Sections)
        {
            if (context.Rip >= section.Start && context.Rip < section.End)
            {
                context.Rip = section.Abort;
                return context;
            }
        }

        bool handler = IsIn(context, "on_signal", "in_place_stub"), entrance = IsIn(context, "trampoline_0", "arm");
        if (!handler && !entrance)
        {
            return context;
        }

        ref readonly UserRegisters now = ref context.Registers;
        bool known = handler && context.Rip >= _labels["on_signal_known"];
        long signal = known ? now.R12 : now.Rdi;
        int code, number;
        if (SavedContext.OfFrame((nint)(known ? now.R14 : now.Rdx)) is not { } interrupted
            || !SavedContext.TryRead((nint)(known ? now.R13 : now.Rsi) + SignalFrame.SiCode, &code, sizeof(int))
            || !SavedContext.TryRead((nint)(known ? now.R13 : now.Rsi) + SignalFrame.SiSyscall, &number, sizeof(int)))
        {
            return null;                                         // no frame lies there: registers or memory were written over
        }

        if (IsIn(context, "in_place_moved", "in_place_set"))
        {
            interrupted.Rip = _labels["in_place_stub"];
        }
        else if (interrupted.Rip != _labels["in_place_stub"] && (int)signal == Signal.SIGSYS && code == SignalCode.SysUserDispatch)
        {
            interrupted.RunSystemCallAgain(number);
        }

        return interrupted;
    }

    private bool IsIn(SavedContext context, string from, string to) => context.Rip >= _labels[from] && context.Rip < _labels[to];

    /// <summary>What the chains did not show: claims that were not entered yet or no longer, lazy switches just before their end, answers that nobody awaits.</summary>
    /// <returns>A receiver in whose handler the member was, as no chain had shown.</returns>
    private LostReceiver? Settle(ReceiverBlock* r, int member)
    {
        LostReceiver? lost = null;
        uint word = Volatile.Read(ref r->StateWord);
        ReceiverState state = (ReceiverState)(byte)word;
        nint frame = Volatile.Read(ref *(nint*)&r->Frame);
        if (ThreadBlock.ClaimerOf(word) == member && !IsCarried(MemberBlock.Thread(member, ThreadBlock.ClaimingThreadOf(word))))
        {
            if (frame != 0)
            {
                GoHome(r, null);
            }
            else if (r->InHandler == 0)
            {
                GiveBack(r, word);
            }
            else if (Interlocked.CompareExchange(ref r->StateWord, (uint)ReceiverState.Dead, word) == word)
            {
                lost = Lose(r);
            }
        }
        else if (state == ReceiverState.Own && IsOf(Volatile.Read(ref *(nint*)&r->Sender), member))
        {
            FinishWake(r);
        }

        nint pending = Volatile.Read(ref *(nint*)&r->Pending);
        if (IsOf(pending, member))
        {
            _ = Interlocked.CompareExchange(ref *(nint*)&r->Pending, 0, pending);
        }

        return lost;
    }

    /// <summary>
    /// Whether a sender's context is executed by a kernel thread of another member: it is a receiver's, and that one is foreign. Then what the context has
    /// claimed is in use, until the death report has brought the context home or that other member ends too.
    /// </summary>
    private static bool IsCarried(ThreadBlock* sender)
    {
        ReceiverBlock* own = BlockAddress.Receiver(&sender->OwnReceiver);
        return own is not null && own->State == ReceiverState.Foreign;
    }

    private static bool IsOf(nint thread, int member) => thread >= FamilyLayout.MemberArea(member) && thread < FamilyLayout.MemberArea(member + 1);

    /// <summary>A receiver at rest: as if it had not been claimed.</summary>
    private static void GiveBack(ReceiverBlock* r) => GiveBack(r, Volatile.Read(ref r->StateWord));

    /// <summary>Comes back: a receiver whose claim was looked at may have been answered since, and be another's by now. So the claim that was
    /// looked at is given back, or none.</summary>
    private static void GiveBack(ReceiverBlock* r, uint claim)
    {
        if ((ReceiverState)(byte)claim == ReceiverState.Foreign)
        {
            _ = Interlocked.CompareExchange(ref r->StateWord, (uint)ReceiverState.Ready, claim);
        }
    }

    /// <summary>The end of a lazy switch: the receiver's own kernel thread goes on in the frame that is written.</summary>
    /// <param name="r">Foreign, or Own and not woken.</param>
    /// <param name="sender">Who lives and waits for the answer, or null.</param>
    private void GoHome(ReceiverBlock* r, ThreadBlock* sender)
    {
        if (sender is not null)
        {
            (sender->Mxcsr, sender->X87Control) = SavedContext.ControlWordsOf(r);     // as the lazy switch does
            r->PendingSequence = NextSequence(sender, CallResult.Pending);
        }

        // SYNC pending-gone: as in the lazy switch
        _ = Interlocked.Exchange(ref *(nint*)&r->Pending, (nint)sender);
        if (family.StateOf(BlockAddress.MemberOf(r)) != MemberState.Running)
        {
            Volatile.Write(ref r->StateWord, (uint)ReceiverState.Dead);
            if (sender is not null && Interlocked.Exchange(ref *(nint*)&r->Pending, 0) != 0)
            {
                Volatile.Write(ref sender->Reply, r->PendingSequence | CallResult.PeerDied);
            }

            return;
        }

        Volatile.Write(ref r->StateWord, (uint)ReceiverState.Own);
        if (Interlocked.Exchange(ref r->Wake, ReceiverBlock.WakeNow) == ReceiverBlock.WakeAsleep)
        {
            _ = Sys.FutexWake(&r->Wake, 1);
        }
    }

    /// <summary>The last steps of a lazy switch whose thread may have died before them. One that was made already is one too many, which park_woken ignores.</summary>
    private static void FinishWake(ReceiverBlock* r)
    {
        _ = Interlocked.Exchange(ref r->Wake, ReceiverBlock.WakeNow);
        _ = Sys.FutexWake(&r->Wake, 1);
    }

    /// <summary>Nobody else writes it: the context that waits for it belongs to the thread that is gone, and a late answer has an earlier sequence.</summary>
    private static uint NextSequence(ThreadBlock* sender, uint status)
    {
        const uint statusBits = 3;
        uint sequence = (sender->Reply & ~statusBits) + statusBits + 1;
        Volatile.Write(ref sender->Reply, sequence | status);
        return sequence;
    }

    private LostReceiver Lose(ReceiverBlock* r)
    {
        Volatile.Write(ref r->StateWord, (uint)ReceiverState.Dead);
        ServiceEntry* service = BlockAddress.Service(Volatile.Read(ref *(nint*)&r->Service));
        int owner = BlockAddress.MemberOf(r);
        return new LostReceiver(owner, family.GenerationOf(owner), service is null ? "(its block names none)"
            : System.Text.Encoding.UTF8.GetString(service->Name, Math.Clamp(service->NameLengthBytes, 0, ServiceEntry.NameCapacityBytes)));
    }

    private static void WakeAllWaiters()
    {
        for (int i = 0; i < FamilyLayout.ServiceCapacity; i++)
        {
            ServiceEntry* e = FamilyHeader.Service(i);
            if (e->State != ServiceState.Free)
            {
                Interlocked.Increment(ref e->ReadySequence);
                _ = Sys.FutexWake(&e->ReadySequence, int.MaxValue);
            }
        }
    }
}
