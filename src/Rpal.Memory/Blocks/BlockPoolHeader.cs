using System.Runtime.InteropServices;

namespace Rpal.Memory.Blocks;

/// <summary>
/// The first bytes of a pool. Geometry: written by the creator before others can find it, read once by each process. Counters and the recovery flag: by all.
/// </summary>
/// <remarks><code>
///    0 blockBytes u32
///    4 blockCount u32
///    8 cacheCount u32       per-CPU lists
///   12 lockedOnly u32      not 0: some process has no sections, so nobody puts blocks onto lanes. By any, once
///   16 zero
///  128 recovering u32       not 0: a recovery has the lists' blocks; allocators that find none wait for it
///  132 unfinished u32     recoveries since the last that reached all lanes: what they left alone is still to be found
///  136 alreadyFree u64      refused, see BlockStatus; from here on another cache line pair than what is read all the time
///  144 notOwned u64
///  152 outOfRange u64
///  160 cycles u64
///  168 corrupt u64
///  176 recovered u64        blocks given back by recoveries
///  184 moved u64            sequences that went up otherwise than by an allocation
///  256 heads                1 + cacheCount of 128 bytes: the common list, then one for each CPU: 0 tagged head u64, see BlockList | 64 lane u64, see BlockLanes
///      words                blockCount of u64, see BlockWord
///      links                blockCount of u32: while on a list, index + 1 of the next block, 0 at the end
///      data                 from a multiple of 128, or of 4096 where blockBytes is one: blockCount of blockBytes
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct BlockPoolHeader
{
    public const int SizeBytes = 256;

    [FieldOffset(0)] public uint BlockBytes;
    [FieldOffset(4)] public uint BlockCount;
    [FieldOffset(8)] public uint CacheCount;
    [FieldOffset(12)] public uint LockedOnly;
    [FieldOffset(128)] public uint Recovering;
    [FieldOffset(132)] public uint Unfinished;
    [FieldOffset(136)] public ulong AlreadyFree;
    [FieldOffset(144)] public ulong NotOwned;
    [FieldOffset(152)] public ulong OutOfRange;
    [FieldOffset(160)] public ulong Cycles;
    [FieldOffset(168)] public ulong Corrupt;
    [FieldOffset(176)] public ulong Recovered;
    [FieldOffset(184)] public ulong Moved;
}
