namespace Rpal;

/// <summary>What became of a copy from or to a peer's memory.</summary>
public enum CopyStatus : byte
{
    /// <summary>Every byte was copied, and the peer was alive before and after.</summary>
    Copied,

    /// <summary>The peer's process is gone. A part may have been copied.</summary>
    PeerGone,

    /// <summary>The peer is alive, but a page of the range is not mapped there, or may not be read or written. A part may have been copied.</summary>
    NotMapped,

    /// <summary>The range does not lie in the peer's part of the address space. Nothing was copied.</summary>
    OutOfRange,
}
