using System.Runtime.InteropServices;

namespace Rpal.Machine.Blocks;

/// <summary>
/// One armed thread, in its two roles: the kernel thread (found through GS, which stays with it while FS follows the user
/// context) and the sender (the user context that waits while its kernel thread executes a receiver's).
/// </summary>
/// <remarks>
/// Never unmapped while the family lives, so that a late reader finds a word, not a fault. Written by its own thread and by
/// whoever runs foreign on it; <c>Reply</c> also by a receiver's own kernel thread and the host.
/// <code>
/// kernel thread   0 self u64   8 current receiver u64   16 selector u8   24 parked receiver u64
///                32 tid i32   36 pid i32   40 member u64   48 inject countdown u32   52 inject reload u32
///                56 paused at u64: time stamp, while it sleeps inside calls that are timed
/// sender         64 rsp u64   72 fs u64   80 own receiver u64   88 reply u32   92 spin budget u32
///                96 mxcsr u32   100 x87 control u16 (as the handler left them, set by whoever replies)   104 error text u64   112 claim word u32 (what a claim by it writes as state word)   116 CPU of whom it waits for u32
///               120 service whose receivers it waits for u64, or 0   128 account u64   136 index i32
/// per CPU       160 rseq cpu start u32   164 rseq cpu u32   168 rseq section u64   176 rseq flags u64   184 rseq rest u64
///               the kernel thread's <see cref="Rpal.Linux.RseqArea"/>: the kernel writes the CPU, the sections their descriptor
///               The reply word is sequence &lt;&lt; 2 | status (<see cref="CallResult"/>), one sequence per lazy switch, so that a late
///               answer to an earlier call can never be taken for this one's (comes back: the word, with every call; 2^30 lazy switches
///               would have to come between an answer's look at it and its exchange).
/// counters      192 signals queued again u64
///               256 receiver used last of each service u64[64] (by service index modulo 64; a hint: the stub compares the registration)
///               768 copying u64 (generation of the member from or to whose memory it copies now, or 0; read by the host before it reclaims a slot)
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct ThreadBlock
{
    public const int SizeBytes = 1024;
    public const int
        SelfOffset = 0, CurrentOffset = 8, SelectorOffset = 16, ParkedOffset = 24, TidOffset = 32, PidOffset = 36, MemberOffset = 40,
        InjectCountdownOffset = 48, InjectReloadOffset = 52, PausedAtOffset = 56,
        RspOffset = 64, FsOffset = 72, OwnReceiverOffset = 80, ReplyOffset = 88, SpinBudgetOffset = 92, MxcsrOffset = 96, X87ControlOffset = 100,
        ClaimWordOffset = 112, PeerCpuOffset = 116, AccountOffset = 128, RseqCpuStartOffset = 160, LastReceiverOffset = 256,
        RequeuedOffset = 192;

    [FieldOffset(SelfOffset)] public ThreadBlock* Self;
    [FieldOffset(CurrentOffset)] public ReceiverBlock* Current;
    [FieldOffset(SelectorOffset)] public ulong Selector;
    [FieldOffset(ParkedOffset)] public ReceiverBlock* Parked;
    [FieldOffset(TidOffset)] public int Tid;
    [FieldOffset(PidOffset)] public int Pid;
    [FieldOffset(MemberOffset)] public MemberBlock* Member;
    [FieldOffset(InjectCountdownOffset)] public uint InjectCountdown;
    [FieldOffset(InjectReloadOffset)] public uint InjectReload;
    [FieldOffset(PausedAtOffset)] public ulong PausedAt;

    [FieldOffset(RspOffset)] public nint Rsp;
    [FieldOffset(FsOffset)] public nint Fs;
    [FieldOffset(OwnReceiverOffset)] public ReceiverBlock* OwnReceiver;
    [FieldOffset(ReplyOffset)] public uint Reply;
    [FieldOffset(SpinBudgetOffset)] public uint SpinBudgetCycles;
    [FieldOffset(MxcsrOffset)] public uint Mxcsr;
    [FieldOffset(X87ControlOffset)] public ushort X87Control;
    [FieldOffset(104)] public byte* ErrorText;
    [FieldOffset(ClaimWordOffset)] public uint ClaimWord;
    [FieldOffset(136)] public int Index;
    [FieldOffset(PeerCpuOffset)] public uint PeerCpu;
    [FieldOffset(120)] public ServiceEntry* WaitsFor;
    [FieldOffset(AccountOffset)] public ThreadAccount* Account;
    [FieldOffset(RseqCpuStartOffset)] public uint RseqCpuStart;
    [FieldOffset(164)] public uint RseqCpu;
    [FieldOffset(168)] public ulong RseqSection;
    [FieldOffset(176)] public ulong RseqFlags;
    [FieldOffset(184)] public ulong RseqRest;
    [FieldOffset(LastReceiverOffset)] public fixed long LastReceiver[LastReceiverCount];
    public const int LastReceiverCount = 64;

    [FieldOffset(RequeuedOffset)] public ulong Requeued;
    [FieldOffset(768)] public ulong Copying;

    private const int ClaimerShift = 8;

    /// <summary>The state word of a receiver that this thread has claimed: Foreign, above it 1 + the thread's number in the family.</summary>
    public static uint ClaimWordOf(int member, int index) => (uint)ReceiverState.Foreign | (uint)(member * FamilyLayout.ThreadCapacity + index + 1) << ClaimerShift;

    /// <summary>Number in its member of the thread that has claimed a receiver.</summary>
    public static int ClaimingThreadOf(uint stateWord) => (int)((stateWord >> ClaimerShift) - 1) % FamilyLayout.ThreadCapacity;

    /// <summary>The member whose thread has claimed a receiver, or -1.</summary>
    public static int ClaimerOf(uint stateWord) =>
        (ReceiverState)(byte)stateWord == ReceiverState.Foreign && stateWord >> ClaimerShift != 0
            ? (int)((stateWord >> ClaimerShift) - 1) / FamilyLayout.ThreadCapacity : -1;
}
