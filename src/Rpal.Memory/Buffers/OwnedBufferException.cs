namespace Rpal.Memory.Buffers;

/// <summary>A buffer could not be made, opened or guarded. The message names what was asked, the limit, what was found and what to do.</summary>
public sealed class OwnedBufferException : IOException
{
    internal OwnedBufferException(OwnedBufferError error, string message)
        : base(message) =>
        Error = error;

    /// <summary>Why, for programs.</summary>
    public OwnedBufferError Error { get; }
}

/// <summary>Why a buffer could not be made, opened or guarded.</summary>
public enum OwnedBufferError
{
    /// <summary>A length, option or timeout is out of its documented range.</summary>
    BadArgument,

    /// <summary>The header of the part describes no buffer that fits into it.</summary>
    BadHeader,

    /// <summary>The CPU or the kernel has no protection keys, or none is left.</summary>
    NoKeys,

    /// <summary>The kernel refused to take access away or to give it back; the text names the call.</summary>
    KernelRefused,
}
