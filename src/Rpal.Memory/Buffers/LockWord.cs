using System.Numerics;
using Rpal.Memory.Parties;

namespace Rpal.Memory.Buffers;

/// <summary>Who has a buffer, in 64 bits: one compare-and-exchange takes it or gives it back, and whoever finds it knows whom to ask for.</summary>
/// <remarks><code>
///  0..23 readers    a bit per seat; or, handed over, the generation of the party it was handed to
/// 24     torn       a writer died inside, and none has completed since
/// 25     exclusive  the one reader reads alone
/// 26..31 writer     party + 1; 0 none
/// 32..53 thread     the writer's; 0 with a writer: handed over to it and not yet picked up. Another process with that party's number has another generation: it is not its
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

    public uint Readers => Writer < 0 ? (uint)(Value & ReaderMask) : 0;

    public int ReaderCount => BitOperations.PopCount(Readers);

    public bool IsTorn => (Value & TornBit) != 0;

    public bool IsExclusive => (Value & ExclusiveBit) != 0;

    /// <summary>The writing party; -1 none.</summary>
    public int Writer => (int)((Value & WriterMask) >> WriterShift) - 1;

    public int WriterThread => (int)((Value & ThreadMask) >> ThreadShift);

    public int Version => (int)(Value >> VersionShift);

    public bool IsFree => (Value & (ReaderMask | ExclusiveBit | WriterMask | ThreadMask)) == 0;

    /// <summary>Handed over, and not yet picked up.</summary>
    public bool IsOnItsWay => Writer >= 0 && WriterThread == 0;

    public bool IsHandedTo(Party party) => IsOnItsWay && Writer == party.Number && (Value & ReaderMask) == (party.Generation & ReaderMask);

    /// <summary>Whether parties that keep the rules can have written it.</summary>
    public bool IsSane => (Value & WriterMask) == 0
        ? (Value & ThreadMask) == 0 && (!IsExclusive || ReaderCount == 1)
        : Writer < PartyTable.Capacity && !IsExclusive && (IsOnItsWay || (Value & ReaderMask) == 0);

    public LockWord WithReader(int seat, bool exclusive) => new(Value | 1ul << seat | (exclusive ? ExclusiveBit : 0));

    /// <summary>Without the reader of a seat; an exclusive one was the only one.</summary>
    public LockWord WithoutReader(int seat) => new(Value & ~(1ul << seat | ExclusiveBit));

    public bool HasReader(int seat) => (Readers & 1u << seat) != 0;

    public LockWord TakenBy(int party, uint thread) => new(unchecked(Owned(party, thread).Value + (1ul << VersionShift)));

    /// <summary>The same lease, of another; complete, so not torn.</summary>
    public LockWord HandedTo(Party party) => new(Owned(party.Number, 0).Value & ~TornBit | party.Generation & ReaderMask);

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
