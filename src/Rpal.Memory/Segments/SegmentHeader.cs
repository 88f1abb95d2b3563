using System.Runtime.InteropServices;
using Rpal.Memory.Parties;

namespace Rpal.Memory.Segments;

/// <summary>
/// The first bytes of a segment. Written by its creator before anybody else has it, but for the counters at 40 and 44 and the tables.
/// </summary>
/// <remarks><code>
///    0 magic u64            "RPALSEG" and a zero
///    8 version u32          layout of this header and of all parts
///   12 headerBytes u32      where the first part may begin
///   16 lengthBytes u64      of the whole file
///   24 address u64          where its creator has it; others try to have it there too
///   32 id u64               random: tells two segments apart
///   40 partCount u32        SYNC part-ready: released after the entry; pairs with Segment.Find
///   44 recoveries u32       dead parties that were cleared away
///   48 nextOffset u64       first byte that no part has, nor one that is being added
///   56 zero
///   64 parts                64 of 32 bytes, see PartEntry
/// 2112 parties              32 of 64 bytes, see PartyEntry
/// 4160 end
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct SegmentHeader
{
    public const int SizeBytes = PartiesOffset + PartyTable.Capacity * PartyEntry.SizeBytes;
    public const ulong ExpectedMagic = 0x0047_4553_4C41_5052;
    public const uint CurrentVersion = 1;
    public const int PartCapacity = 64;
    public const int PartsOffset = 64;
    public const int PartiesOffset = PartsOffset + PartCapacity * PartEntry.SizeBytes;

    [FieldOffset(0)] public ulong Magic;
    [FieldOffset(8)] public uint Version;
    [FieldOffset(12)] public uint HeaderBytes;
    [FieldOffset(16)] public long LengthBytes;
    [FieldOffset(24)] public long Address;
    [FieldOffset(32)] public ulong Id;
    [FieldOffset(40)] public uint PartCount;
    [FieldOffset(44)] public uint Recoveries;
    [FieldOffset(48)] public long NextOffset;
}

/// <summary>One part of a segment. Written by whoever adds it, before <see cref="SegmentHeader.PartCount"/> says that it is there.</summary>
/// <remarks>0 kind u32 | 4 zero | 8 offset s64 | 16 length s64 | 24 zero</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct PartEntry
{
    public const int SizeBytes = 32;

    [FieldOffset(0)] public uint Kind;
    [FieldOffset(8)] public long Offset;
    [FieldOffset(16)] public long LengthBytes;
}
