namespace Rpal.Memory.Segments;

/// <summary>Something in this process that must know when a segment is closed here. Told in the order of the members below, each step by
/// all before the next.</summary>
internal interface ISegmentUser
{
    /// <summary>Ends what runs in the segment. The process is still a living party.</summary>
    void OnClosing();

    /// <summary>Sends away whoever sleeps in the segment: from now on each that looks finds it closed.</summary>
    void OnClosed()
    {
    }

    /// <summary>Gives back what this process keeps about the segment's memory, which no thread of it can reach any more.</summary>
    void OnGone()
    {
    }
}
