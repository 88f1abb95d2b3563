namespace Rpal.Memory.Segments;

/// <summary>A part of a segment, its place checked against the segment's length. What lies in it is not.</summary>
/// <param name="Segment">The segment.</param>
/// <param name="Index">Its number: the same in every process.</param>
/// <param name="Kind">What lies in it.</param>
/// <param name="Offset">Its first byte, from the segment's beginning; a multiple of <see cref="Alignment"/>.</param>
/// <param name="LengthBytes">Its length.</param>
public readonly record struct Part(Segment Segment, int Index, PartKind Kind, long Offset, long LengthBytes)
{
    /// <summary>Parts begin at multiples of a cache line pair: the prefetcher of the neighbour does not reach in.</summary>
    public const int Alignment = 128;

    /// <summary>Its first byte in this process. The segment must stay open, and referred to, while it is used.</summary>
    public unsafe byte* Address => Segment.Address + Offset;

    /// <summary>Its bytes, the first 2 GiB - 1 of them. As <see cref="Address"/>.</summary>
    public unsafe Span<byte> Bytes => new(Address, (int)Math.Min(LengthBytes, int.MaxValue));
}
