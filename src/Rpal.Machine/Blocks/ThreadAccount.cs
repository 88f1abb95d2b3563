using System.Runtime.InteropServices;

namespace Rpal.Machine.Blocks;

/// <summary>What the contexts that used one thread block donated to each service. The books of the time accounting.</summary>
/// <remarks>
/// Written by whoever executes the sender's context, one at a time; read by anybody. It belongs to the place (member, thread),
/// not to who uses it now, and lies outside the member areas: never cleared while the family lives, so sums never go backwards.
/// A registration's low byte is the member that registered, so that time of services that are gone still has a receiver.
/// <code>
///    0 used u32      8 sequence u64 (odd while a row changes to another registration)
///   64 gone u64[64]: cycles donated to each member's services that lost their row to a newer registration
/// 1024 rows u64[768]: by service index, three words each: registration, cycles, calls
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct ThreadAccount
{
    public const int SizeBytes = 8192;
    public const int SequenceOffset = 8, GoneOffset = 64, RowsOffset = 1024;

    /// <summary>Words of a row, and where they lie in it.</summary>
    public const int RowWords = 3, Registration = 0, Cycles = 1, Calls = 2;

    /// <summary>Room for a member's number in a registration's low bits, as many as <see cref="Gone"/> has places.</summary>
    public const int MemberMask = 63;

    [FieldOffset(0)] public uint Used;
    [FieldOffset(SequenceOffset)] public ulong Sequence;
    [FieldOffset(GoneOffset)] public fixed ulong Gone[MemberMask + 1];
    [FieldOffset(RowsOffset)] public fixed ulong Rows[RowWords * FamilyLayout.ServiceCapacity];

    public static ThreadAccount* At(int member, int thread) =>
        (ThreadAccount*)(FamilyLayout.AccountBase + member * FamilyLayout.MemberAccountBytes) + thread;
}
