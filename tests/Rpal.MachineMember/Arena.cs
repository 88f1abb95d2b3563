using System.Runtime.InteropServices;

namespace Rpal.MachineMember;

/// <summary>What the members of one test share: in the host's memory, which is everybody's. Written by all, read by the host at the end.</summary>
/// <remarks><code>
///  0 stop u32 (futex)   8 sent u64   16 handled u64   24 handled in the wrong process or with another thread's FS u64
/// 32 answers right u64  40 wrong u64  48 lazy methods u64  56 in place u64  64 nested u64  72 faults u64  80 collections u64   88 activations sent u64
/// 96 send refused u64  104 register checks u64   112 registers that differed u64   120 evictions seen while computing u64
/// 128 first failure's text u8[320]   448 storms running i32   456 the callers' thread blocks u64[4]
/// 512 how often each value was handled u32[]
/// </code></remarks>
[StructLayout(LayoutKind.Explicit)]
internal unsafe struct Arena
{
    public const string Variable = "RPAL_TEST_ARENA";
    public const int ValueCapacity = 1 << 22, FailureBytes = 320, CallerCapacity = 4;
    public const int HandledOffset = 16, MisplacedOffset = 24, ValuesOffset = 512;
    public const long SizeBytes = ValuesOffset + (long)ValueCapacity * sizeof(uint);

    [FieldOffset(0)] public uint Stop;
    [FieldOffset(8)] public ulong Sent;
    [FieldOffset(HandledOffset)] public ulong Handled;
    [FieldOffset(MisplacedOffset)] public ulong Misplaced;
    [FieldOffset(32)] public ulong Right;
    [FieldOffset(40)] public ulong Wrong;
    [FieldOffset(48)] public ulong Lazy;
    [FieldOffset(56)] public ulong InPlace;
    [FieldOffset(64)] public ulong Nested;
    [FieldOffset(72)] public ulong Faults;
    [FieldOffset(80)] public ulong Collections;
    [FieldOffset(88)] public ulong Activations;
    [FieldOffset(96)] public ulong Refused;
    [FieldOffset(104)] public ulong RegisterChecks;
    [FieldOffset(112)] public ulong RegistersChanged;
    [FieldOffset(120)] public ulong EvictionsSeen;
    [FieldOffset(128)] public fixed byte Failure[FailureBytes];
    [FieldOffset(448)] public int Storms;
    [FieldOffset(456)] public fixed long Callers[CallerCapacity];
    [FieldOffset(ValuesOffset)] public fixed uint Values[1];
}
