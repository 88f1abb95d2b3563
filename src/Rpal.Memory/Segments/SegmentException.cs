namespace Rpal.Memory.Segments;

/// <summary>A segment could not be made, opened or used. The message names what, which limit, what was found and what to do.</summary>
public sealed class SegmentException : IOException
{
    internal SegmentException(SegmentError error, string message)
        : base(message) =>
        Error = error;

    /// <summary>Why, for programs.</summary>
    public SegmentError Error { get; }
}
