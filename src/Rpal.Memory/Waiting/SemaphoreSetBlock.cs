using System.Runtime.InteropServices;

namespace Rpal.Memory.Waiting;

/// <summary>The beginning of a part of kind SemaphoreSet. Written by its creator before others have it; each process reads it once.</summary>
/// <remarks><code>
///   0 seatCount u32        1 to 32
///   4 memberCapacity u32   of each seat, a multiple of 64 up to 4096
///   8 zero
/// 128 the seats, each SeatBlock.BytesFor(memberCapacity)
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct SemaphoreSetBlock
{
    public const int SizeBytes = 128;

    [FieldOffset(0)] public uint SeatCount;
    [FieldOffset(4)] public uint MemberCapacity;
}

/// <summary>
/// One waiter's doorbell: a bit for each semaphore that it waits for, and one word that it sleeps on. Bits are set by whoever releases a
/// semaphore, and cleared by the waiter.
/// </summary>
/// <remarks><code>
///   0 parked u32           1: the waiter sleeps, or is about to; the futex. Set by the waiter, cleared by whoever wakes it, or itself
///   4 owner u32            party + 1; 0 free
///   8 summary u64          bit w: word w of the bells may have bits
///  64 bells u64[memberCapacity / 64]
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct SeatBlock
{
    public const int SizeBytes = 64;
    public const int BellsOffset = 64;

    [FieldOffset(0)] public uint Parked;
    [FieldOffset(4)] public uint Owner;
    [FieldOffset(8)] public ulong Summary;

    /// <summary>Of a seat with its bells, in whole pairs of cache lines.</summary>
    public static int BytesFor(int memberCapacity) => (BellsOffset + memberCapacity / 8 + 127) / 128 * 128;
}
