using System.Runtime.InteropServices;

namespace Rpal.Machine.Blocks;

/// <summary>The first page of the family region. Written by the host before any member starts, read by all; later the host bumps the sequence, and injection builds count hits.</summary>
/// <remarks><code>
///   0 magic u64            8 abi u32          12 host pid i32
///  16 directory sequence u32 (futex: bumped by the host at every change of the directory)
///  20 spin limit, cycles u32                  24 TSC ticks per second u64
///  32 code base u64       40 code length u64  48 routine addresses u64[32]
/// 304 inject signal u32   308 kill word u32   312 point hits u32[64]
/// 568 address of each member's signal trampoline u64[40]
/// 888 accounting u32 (not 0: calls are timed; the host may change it at any time)
/// 892 strayed pid i32 (the process that ended itself last because a thread of it stood in a context that it was not lent; negative: its GS named no block)
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct FamilyHeader
{
    public const int SizeBytes = 4096;
    public const int SpinLimitOffset = 20, RoutinesOffset = 48, InjectSignalOffset = 304, KillWordOffset = 308, PointHitsOffset = 312,
        PointCapacity = 64, AccountingOffset = 888, StrayedPidOffset = 892;

    [FieldOffset(0)] public ulong Magic;
    [FieldOffset(8)] public uint AbiVersion;
    [FieldOffset(12)] public int HostPid;
    [FieldOffset(16)] public uint DirectorySequence;
    [FieldOffset(SpinLimitOffset)] public uint SpinLimitCycles;
    [FieldOffset(24)] public ulong TscPerSecond;
    [FieldOffset(32)] public nint CodeBase;
    [FieldOffset(40)] public long CodeLengthBytes;
    [FieldOffset(RoutinesOffset)] public fixed long Routines[32];
    [FieldOffset(InjectSignalOffset)] public uint InjectSignal;

    /// <summary>
    /// Injection builds: (victim + 1) &lt;&lt; 24 | (member + 1) &lt;&lt; 16 | (point + 1), kill points from <see cref="PointCapacity"/> on. Whoever of that member passes the point next
    /// zeroes this and kills there: its own process, or, with a victim, that of the receiver whose context it executes or is about to, if that is the victim's; then it goes on.
    /// </summary>
    [FieldOffset(KillWordOffset)] public uint KillWord;
    public const byte KillWordMemberShift = 16, KillWordVictimShift = 24;

    /// <summary>A <see cref="KillWord"/>. A point without a receiver (at home, asleep) never meets a victim.</summary>
    public static uint KillWordOf(int member, int point, int victim = -1) => (uint)(victim + 1 << KillWordVictimShift | member + 1 << KillWordMemberShift | point + 1);
    [FieldOffset(PointHitsOffset)] public fixed uint PointHits[PointCapacity];

    [FieldOffset(568)] public fixed long Trampolines[FamilyLayout.MemberCapacity];
    [FieldOffset(AccountingOffset)] public uint Accounting;
    [FieldOffset(StrayedPidOffset)] public int StrayedPid;

    public readonly nint Address(Routine routine) => (nint)Routines[(int)routine];

    public static FamilyHeader* At => (FamilyHeader*)FamilyLayout.FamilyBase;

    public static ServiceEntry* Service(int index) => (ServiceEntry*)(FamilyLayout.FamilyBase + FamilyLayout.DirectoryOffset) + index;
}
