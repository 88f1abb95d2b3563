using System.Runtime.InteropServices;

namespace Rpal.Memory.Waiting;

/// <summary>
/// A semaphore in shared memory: a part of kind Semaphore holds several of them, and other parts may have some inside. Written by all
/// processes that release it or wait for it, read by them and by whoever clears away a dead one.
/// </summary>
/// <remarks><code>
///   0 count u32            tokens that can be taken; the futex that waiters sleep on while it is 0
///   4 waiting u32          bit n: threads of party n sleep here, or are about to. In one word of 64 bits with the count
///   8 limit u32            most tokens; written before others have it, read once when it is opened
///  12 linkMask u32         bit n: link n is complete
///  16 links u64[14]        sets that it is in, see SemaphoreLink
/// 128 end
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct SemaphoreBlock
{
    public const int SizeBytes = 128;
    public const int LinkCapacity = 14;
    public const int CountBits = 32;

    [FieldOffset(0)] public ulong State;
    [FieldOffset(0)] public uint Count;
    [FieldOffset(4)] public uint Waiting;
    [FieldOffset(8)] public uint Limit;
    [FieldOffset(12)] public uint LinkMask;
    [FieldOffset(16)] public fixed ulong Links[LinkCapacity];
}

/// <summary>Which doorbell a semaphore rings. 0 is none.</summary>
/// <remarks>
/// Bits 0..15 member | 16..23 seat | 24..31 part | 32..37 party + 1, whose seat it is | 38..63 zero. A link that means nothing any more rings
/// a bell for nothing at worst: whoever is rung looks at the semaphore itself.
/// </remarks>
internal readonly record struct SemaphoreLink(ulong Word)
{
    public SemaphoreLink(int party, int part, int seat, int member)
        : this((uint)member | (ulong)(uint)seat << 16 | (ulong)(uint)part << 24 | (ulong)(uint)(party + 1) << 32)
    {
    }

    public int Member => (int)(Word & 0xFFFF);

    public int Seat => (int)(Word >> 16 & 0xFF);

    public int Part => (int)(Word >> 24 & 0xFF);

    /// <summary>-1 when there is none.</summary>
    public int Party => (int)(Word >> 32 & 0x3F) - 1;
}
