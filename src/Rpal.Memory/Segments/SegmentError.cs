namespace Rpal.Memory.Segments;

/// <summary>Why a segment could not be made, opened or used.</summary>
public enum SegmentError
{
    /// <summary>A size, count or option is out of its documented range.</summary>
    BadArgument,

    /// <summary>No memory for it, now: nothing was made. It would otherwise have come as SIGBUS later.</summary>
    NoMemory,

    /// <summary>The kernel refused a call that segments need; the text names it.</summary>
    KernelRefused,

    /// <summary>The descriptor is no file in memory, or not sealed against shrinking, growing and further seals.</summary>
    NotSealed,

    /// <summary>Its header does not describe a segment of this version and size.</summary>
    BadHeader,

    /// <summary>Something lies already where it should be mapped; nothing was mapped.</summary>
    AddressOccupied,

    /// <summary>As many processes as can have opened it already.</summary>
    TooManyParties,

    /// <summary>Its room or its table of parts is used up.</summary>
    Full,

    /// <summary>There is no such part, or it is of another kind or size.</summary>
    NoSuchPart,

    /// <summary>Another process is giving back what a dead one held, and does not come to an end.</summary>
    RecoveryBusy,

    /// <summary>Another process is adding a part, and does not come to an end.</summary>
    AddingBusy,

    /// <summary>The other side of a transfer has gone, or sent what makes no sense.</summary>
    TransferFailed,
}
