namespace Rpal.Memory.Buffers;

/// <summary>What became of an attempt to take, hand over or give back a buffer.</summary>
public enum BufferStatus : byte
{
    /// <summary>The lease is the caller's.</summary>
    Taken,

    /// <summary>Given back; others can have it.</summary>
    Released,

    /// <summary>The lease is the named peer's, which picks it up with <see cref="OwnedBuffer.TryAccept"/>.</summary>
    HandedOver,

    /// <summary>A writer has it, or it was handed to one: <see cref="OwnedBuffer.DescribeHolder"/>.</summary>
    HeldByWriter,

    /// <summary>Readers have it, and the attempt was to write or to read alone; or one reads alone.</summary>
    HeldByReaders,

    /// <summary>As many read as can: <see cref="OwnedBuffer.ReaderCapacity"/>.</summary>
    TooManyReaders,

    /// <summary>Nothing was handed to this process.</summary>
    NotHandedOver,

    /// <summary>The peer that it should be handed to has closed the segment or died. The lease stays the caller's.</summary>
    PeerGone,

    /// <summary>The shared header holds what no party that keeps the rules writes. Nothing was taken; counted in <see cref="OwnedBuffer.CorruptCount"/>.</summary>
    Corrupt,
}
