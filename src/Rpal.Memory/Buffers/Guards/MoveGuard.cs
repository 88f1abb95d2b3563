using Rpal.Linux;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Buffers.Guards;

/// <summary>
/// mremap(2): the range goes to a hidden place and comes back. Of an aligned 2 MiB the kernel moves one entry, that of the page table, and keeps the
/// table: what seed 003 asks for.
/// </summary>
/// <remarks>
/// Between leases nothing is mapped at the range, nor at the hidden place during one. The kernel maps nothing into such low addresses by itself, segments ask
/// <see cref="GuardedRanges.Overlap"/>, and hidden places are given once: so nothing is ever moved onto. In a family, and where a segment does not lie in its
/// own range of addresses, that does not hold and mprotect is used.
/// </remarks>
internal sealed class MoveGuard : BufferGuard
{
    private const int MayMoveFixed = MremapFlags.MayMove | MremapFlags.Fixed;

    /// <summary>Hidden places: behind a family's slots, before the segments.</summary>
    private const long Lowest = 0x2400_0000_0000;

    private static long s_next = Lowest;

    private readonly nint _hidden;

    private MoveGuard(nint address, long roomBytes, nint hidden)
        : base(address, roomBytes) =>
        _hidden = hidden;

    /// <returns>Null where it cannot be: the range is not of whole 2 MiB, or lies where the kernel puts other mappings.</returns>
    public static MoveGuard? TryCreate(nint address, long roomBytes)
    {
        if (address % SegmentAddress.Alignment != 0 || roomBytes % SegmentAddress.Alignment != 0 || !SegmentAddress.IsPlausible(address, roomBytes))
        {
            return null;
        }

        long hidden = Interlocked.Add(ref s_next, roomBytes) - roomBytes;
        if (hidden + roomBytes > SegmentAddress.Lowest)
        {
            return null;
        }

        nint probe = Sys.Mmap((nint)hidden, (nuint)roomBytes, Prot.None, MapFlags.Private | MapFlags.Anonymous | MapFlags.NoReserve, -1, 0);
        _ = probe < 0 ? 0 : Sys.Munmap(probe, (nuint)roomBytes);
        return probe == hidden ? new MoveGuard(address, roomBytes, probe) : null;
    }

    public override void End() => _ = IsShut ? Sys.Munmap(_hidden, RoomBytes) : 0;

    protected override bool Open(bool write)
    {
        Check("mremap", Sys.Mremap(_hidden, RoomBytes, RoomBytes, MayMoveFixed, Address));
        return true;
    }

    protected override void Close() => Check("mremap", Sys.Mremap(Address, RoomBytes, RoomBytes, MayMoveFixed, _hidden));
}
