using System.Numerics;

namespace Rpal.Memory.Buffers;

/// <summary>Who has a buffer, in 64 bits: one compare-and-exchange takes it or gives it back, and whoever finds it knows whom to ask for.</summary>
/// <remarks><code>
///  0..23 readers    a bit per seat
/// 24     torn       a writer died inside, and none has completed since
/// 25     exclusive  the one reader reads alone
/// 26..31 writer     party + 1; 0 none
/// 32..53 thread     the writer's; 0 with a writer: handed over to it and not yet picked up
/// 54..63 version    counts write leases
///
///   Free ──readers──► Read, ReadAlone ──last one gives back──► Free
///   Free ──writer──► Write ──gives back──► Free, not torn          Write ──dies──► Free, torn
///                    Write ──hands over──► HandedOver(peer) ──peer accepts──► Write
///                                          HandedOver(peer) ──peer dies──► Free, as it was
/// </code></remarks>
internal readonly record struct LockWord(ulong Value)
{
    public const int ReaderBits = 24;

    private const ulong ReaderMask = (1ul << ReaderBits) - 1;
    private const ulong TornBit = 1ul << 24, ExclusiveBit = 1ul << 25;
    private const int WriterShift = 26, ThreadShift = 32, VersionShift = 54;
    private const ulong WriterMask = 0x3Ful << WriterShift, ThreadMask = 0x3F_FFFFul << ThreadShift, VersionMask = 0x3FFul << VersionShift;

    public uint Readers => (uint)(Value & ReaderMask);

    public int ReaderCount => BitOperations.PopCount(Readers);

    public bool IsTorn => (Value & TornBit) != 0;

    public bool IsExclusive => (Value & ExclusiveBit) != 0;

    /// <summary>The writing party; -1 none.</summary>
    public int Writer => (int)((Value & WriterMask) >> WriterShift) - 1;

    public int WriterThread => (int)((Value & ThreadMask) >> ThreadShift);

    public int Version => (int)(Value >> VersionShift);

    public bool IsFree => (Value & (ReaderMask | ExclusiveBit | WriterMask | ThreadMask)) == 0;

    public bool IsHandedTo(int party) => Writer == party && WriterThread == 0;

    /// <summary>Whether parties that keep the rules can have written it.</summary>
    public bool IsSane => (Value & WriterMask) == 0
        ? (Value & ThreadMask) == 0 && (!IsExclusive || ReaderCount == 1)
        : Writer < Parties.PartyTable.Capacity && (Value & (ReaderMask | ExclusiveBit)) == 0;

    public LockWord WithReader(int seat, bool exclusive) => new(Value | 1ul << seat | (exclusive ? ExclusiveBit : 0));

    /// <summary>Without the reader of a seat; an exclusive one was the only one.</summary>
    public LockWord WithoutReader(int seat) => new(Value & ~(1ul << seat | ExclusiveBit));

    public bool HasReader(int seat) => (Value & 1ul << seat) != 0;

    public LockWord TakenBy(int party, uint thread) => new(unchecked(Owned(party, thread).Value + (1ul << VersionShift)));

    /// <summary>The same lease, of another; complete, so not torn.</summary>
    public LockWord HandedTo(int party) => new(Owned(party, 0).Value & ~TornBit);

    public LockWord AcceptedBy(int party, uint thread) => Owned(party, thread);

    public LockWord Freed(bool torn) => new(Value & VersionMask | (torn ? TornBit : 0));

    private LockWord Owned(int party, uint thread) =>
        new(Value & (VersionMask | TornBit) | (ulong)(party + 1) << WriterShift | (ulong)thread << ThreadShift & ThreadMask);
}

/// <summary>Who sits in a reader's seat. 0 free | else 0..5 party + 1 | 6..27 thread | 28..63 which of that thread's leases</summary>
/// <remarks>A seat is claimed before its bit in the word is set, and given back after the bit is cleared: so a bit without a seat's owner cannot come of a death.</remarks>
internal static class ReaderSeat
{
    public static ulong Of(int party, uint thread, ulong serial) => (uint)(party + 1) | (ulong)(thread & 0x3F_FFFF) << 6 | serial << 28;

    public static int PartyOf(ulong seat) => (int)(seat & 0x3F) - 1;

    public static int ThreadOf(ulong seat) => (int)(seat >> 6 & 0x3F_FFFF);
}
