using System.Runtime.InteropServices;

namespace Rpal.Machine.Blocks;

/// <summary>One receiver: a thread whose user context others may enter.</summary>
/// <remarks>
/// Written by its own kernel thread while Init, Own and at parking; by the claimer while Foreign; Pending and State also by
/// the host once the process is gone; Registration by its service, which is 0 while it lets no call in.
/// <code>
///   0 state word u32: state u8, above it while Foreign the claimer (see ThreadBlock.ClaimWord)   4 in handler u32 (from before the handler is called until after it has returned)   8 rsp u64   16 fs u64   24 handler u64   32 sender u64   40 service u64   48 cookie u64   56 registration u64
///  64 wake u32 (futex)   68 spin budget u32   72 parking stack top u64   80 resume frame u64   88 frame area u64
///  96 pending sender u64   104 home thread block u64   112 signal mask u64   120 signal deferred u32 (1 + looks for the context since)
///  124 pending sequence u32
/// 128 lazy switches u64   136 in-place system calls u64   144 calls rolled back u64   152 answers rolled back u64
/// 160 answers rolled forward u64   168 evictions u64
/// 176 answering sender u64   184 answering sequence u32: the pending pair while its reply is being written, so that a
///     process killed in between leaves a trace of whom it owes
/// 188 CPU that it parked on u32   192 CPU of its last lazily switched sender u32
/// 200 lazy switches for a signal u64   208 for a fault u64 (the others were for a system call)
/// 216 began u64: time stamp of the claim, 0 when the call is not timed   224 calls u64: handlers that returned
/// 232 thread u64: its service's own word for the thread, see ReceiverThread in Rpal
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct ReceiverBlock
{
    public const int SizeBytes = 256;
    /// <summary>The low byte of the state word.</summary>
    public readonly ReceiverState State => (ReceiverState)(byte)StateWord;

    public const int
        StateOffset = 0, InHandlerOffset = 4, RspOffset = 8, FsOffset = 16, HandlerOffset = 24, SenderOffset = 32, ServiceOffset = 40, CookieOffset = 48, RegistrationOffset = 56,
        WakeOffset = 64, SpinBudgetOffset = 68, ParkTopOffset = 72, FrameOffset = 80, FrameAreaOffset = 88, PendingOffset = 96, HomeOffset = 104,
        MaskOffset = 112, DeferredOffset = 120,
        LazyOffset = 128, InPlaceOffset = 136, CallsRolledBackOffset = 144, AnswersRolledBackOffset = 152, AnswersForwardOffset = 160, EvictionsOffset = 168,
        PendingSequenceOffset = 124, AnsweringOffset = 176, AnsweringSequenceOffset = 184, HomeCpuOffset = 188, PeerCpuOffset = 192, LazySignalsOffset = 200, LazyFaultsOffset = 208,
        BeganOffset = 216, CallsOffset = 224;

    /// <summary>Values of <see cref="Wake"/>.</summary>
    public const uint WakeIdle = 0, WakeNow = 1, WakeAsleep = 3;

    [FieldOffset(StateOffset)] public uint StateWord;
    [FieldOffset(InHandlerOffset)] public uint InHandler;
    [FieldOffset(RspOffset)] public nint Rsp;
    [FieldOffset(FsOffset)] public nint Fs;
    [FieldOffset(HandlerOffset)] public nint Handler;
    [FieldOffset(SenderOffset)] public ThreadBlock* Sender;
    [FieldOffset(ServiceOffset)] public ServiceEntry* Service;
    [FieldOffset(CookieOffset)] public long Cookie;
    [FieldOffset(RegistrationOffset)] public ulong Registration;
    [FieldOffset(WakeOffset)] public uint Wake;
    [FieldOffset(SpinBudgetOffset)] public uint SpinBudgetCycles;
    [FieldOffset(ParkTopOffset)] public nint ParkTop;
    [FieldOffset(FrameOffset)] public nint Frame;
    [FieldOffset(FrameAreaOffset)] public nint FrameArea;
    [FieldOffset(PendingOffset)] public ThreadBlock* Pending;
    [FieldOffset(HomeOffset)] public ThreadBlock* Home;
    [FieldOffset(MaskOffset)] public ulong Mask;
    [FieldOffset(DeferredOffset)] public uint Deferred;
    [FieldOffset(LazyOffset)] public ulong LazySwitches;
    [FieldOffset(InPlaceOffset)] public ulong InPlaceCalls;
    [FieldOffset(CallsRolledBackOffset)] public ulong CallsRolledBack;
    [FieldOffset(AnswersRolledBackOffset)] public ulong AnswersRolledBack;
    [FieldOffset(AnswersForwardOffset)] public ulong AnswersRolledForward;
    [FieldOffset(EvictionsOffset)] public ulong Evictions;
    [FieldOffset(PendingSequenceOffset)] public uint PendingSequence;
    [FieldOffset(AnsweringOffset)] public ThreadBlock* Answering;
    [FieldOffset(AnsweringSequenceOffset)] public uint AnsweringSequence;
    [FieldOffset(HomeCpuOffset)] public uint HomeCpu;
    [FieldOffset(PeerCpuOffset)] public uint PeerCpu;
    [FieldOffset(LazySignalsOffset)] public ulong LazySignals;
    [FieldOffset(LazyFaultsOffset)] public ulong LazyFaults;
    [FieldOffset(BeganOffset)] public ulong Began;
    [FieldOffset(CallsOffset)] public ulong Calls;
    [FieldOffset(232)] public long Thread;
}
