using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Internal;

/// <summary>One receiver of a service: a thread that waits at home while others enter its context.</summary>
/// <remarks>Comes back: its block, for another service. A sender that still has its address claims it, sees the other registration, and
/// gives it back.</remarks>
internal sealed unsafe class Receiver
{
    private static readonly Lock s_lock = new();
    private static readonly Stack<int> s_free = new();
    private static int s_fresh;

    private readonly Thread _thread;
    private readonly TaskCompletionSource _armed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly int _index;
    private readonly int _service;
    private readonly ulong _registration;
    private readonly nint _handler;
    private readonly long _cookie;

    /// <exception cref="RpalException">More receivers than <see cref="FamilyLayout.ReceiverCapacity"/>.</exception>
    public Receiver(string name, int service, ulong registration, nint handler, long cookie)
    {
        _index = Take();
        _service = service;
        _registration = registration;
        _handler = handler;
        _cookie = cookie;
        Block = MemberBlock.Receiver(MemberRuntime.Member->Index, _index);
        _thread = new Thread(Run) { IsBackground = true, Name = name };
    }

    public ReceiverBlock* Block { get; }

    /// <summary>Starts the thread; completes when it is armed, faults when it cannot be.</summary>
    public Task Start()
    {
        _thread.UnsafeStart();                                   // calls see no AsyncLocals of whoever enabled the service
        return _armed.Task;
    }

    /// <summary>Whether a call is in it. After <see cref="Refuse"/>: false means that none will be.</summary>
    public bool IsInUse => (ReceiverState)(byte)Volatile.Read(ref Block->StateWord) is ReceiverState.Foreign or ReceiverState.Own;

    /// <summary>Lets calls of the service's registration in.</summary>
    public void Open() => Volatile.Write(ref Block->Registration, _registration);

    /// <summary>Lets no call in: it finds another registration than its own and gives the receiver back.</summary>
    /// <remarks>SYNC receiver-refused: this store, a fence, then a look at the state; a call claims with a locked instruction, then looks at the
    /// registration. A receiver that is seen Ready after this has no call that was let in before.</remarks>
    public void Refuse() => Interlocked.Exchange(ref Block->Registration, 0);

    /// <summary>Ends the receiver once no call is in it.</summary>
    /// <returns>False when a call is in it now.</returns>
    public bool TryStop()
    {
        if (Interlocked.CompareExchange(ref Block->StateWord, (uint)ReceiverState.Stopped, (uint)ReceiverState.Ready) != (uint)ReceiverState.Ready)
        {
            return Block->State is ReceiverState.Stopped or ReceiverState.Dead || !_thread.IsAlive;
        }

        if (Interlocked.Exchange(ref Block->Wake, ReceiverBlock.WakeNow) == ReceiverBlock.WakeAsleep)
        {
            _ = Sys.FutexWake(&Block->Wake, 1);
        }

        return true;
    }

    /// <summary>Waits for the thread's end and gives the block back. After <see cref="TryStop"/>.</summary>
    /// <remarks>A receiver whose caller died inside its handler never ends: its context is lost, its thread stays parked.</remarks>
    public void Join()
    {
        if (Block->State == ReceiverState.Dead)
        {
            return;
        }

        _thread.Join();
        lock (s_lock)
        {
            s_free.Push(_index);
        }
    }

    private void Run()
    {
        try
        {
            ThreadBlock* thread = ThreadArmory.Current;
            MemberBlock* member = MemberRuntime.Member;
            nint parking = MemberBlock.Parking(member->Index, _index);
            int r = Sys.Mprotect(parking, FamilyLayout.ParkingGuardBytes, Prot.None);
            if (r < 0)
            {
                throw new RpalException(RpalError.LimitReached, $"mprotect of a parking stack's guard page: {ErrnoText.Describe(r)} (vm.max_map_count counts for all members together).");
            }

            *Block = new ReceiverBlock
            {
                Handler = _handler,
                Service = FamilyHeader.Service(_service),
                Cookie = _cookie,
                Thread = ReceiverThread.Note(_index),
                Registration = _registration,
                FrameArea = parking + FamilyLayout.ParkingBytes - FamilyLayout.ParkingFrameBytes,
                ParkTop = parking + FamilyLayout.ParkingBytes - FamilyLayout.ParkingFrameBytes - 64,
                Home = thread,
                PeerCpu = uint.MaxValue,
                SpinBudgetCycles = MemberRuntime.Header->SpinLimitCycles,
            };
            thread->OwnReceiver = Block;
        }
        catch (Exception e)
        {
            _armed.SetException(e);
            return;
        }

        _armed.SetResult();
        ((delegate* unmanaged<ReceiverBlock*, void>)MemberRuntime.Header->Address(Routine.Wait))(Block);
        Block->Home->OwnReceiver = null;
    }

    private static int Take()
    {
        lock (s_lock)
        {
            return s_free.TryPop(out int index) ? index
                : s_fresh < FamilyLayout.ReceiverCapacity ? s_fresh++
                : throw new RpalException(RpalError.LimitReached, $"This process has {FamilyLayout.ReceiverCapacity} receivers over all its services, the limit (ReceiverCapacity). Give some services fewer.");
        }
    }
}
