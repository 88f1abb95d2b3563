namespace Rpal.Hosting;

/// <summary>Gets what happens in a family. Calls come one at a time, from the host's threads.</summary>
public interface IFamilyObserver
{
    /// <summary>A member's program starts in its slot.</summary>
    /// <param name="member">Its name.</param>
    /// <param name="processId">Its process.</param>
    /// <param name="slotAddress">First byte of its slot.</param>
    void Started(string member, int processId, long slotAddress);

    /// <summary>A member wrote a line.</summary>
    /// <param name="member">Its name.</param>
    /// <param name="isError">To standard error.</param>
    /// <param name="line">The bytes without the line end; a longer line comes in parts of <see cref="FamilyHost.LineBytesLimit"/>.</param>
    void Line(string member, bool isError, ReadOnlySpan<byte> line);

    /// <summary>A member's process has ended.</summary>
    /// <param name="member">Its name.</param>
    /// <param name="exit">How.</param>
    /// <param name="ran">From the start to the end of its process.</param>
    void Ended(string member, MemberExit exit, TimeSpan ran);

    /// <summary>Something about a member that its operator should know: a limit reached, for example. Said once, not each time.</summary>
    /// <param name="member">Its name.</param>
    /// <param name="text">One line: what, and what to do.</param>
    void Notice(string member, string text);

    /// <summary>The services that a member must have are enabled; only for members that name some.</summary>
    /// <param name="member">Its name.</param>
    /// <param name="after">Since its start.</param>
    void Ready(string member, TimeSpan after)
    {
    }

    /// <summary>The host is about to do something to a member: on whose behalf, or because which time is over.</summary>
    /// <param name="member">Its name.</param>
    /// <param name="text">One line without the member's name: "stopped by rpal stop", "sent SIGUSR1 by rpal kill".</param>
    void Acting(string member, string text)
    {
    }

    /// <summary>A member has ended and will be started again. Not told where a <see cref="Notice"/> has said so when it was stopped, because it lost a receiver.</summary>
    /// <param name="member">Its name.</param>
    /// <param name="delay">Until then.</param>
    /// <param name="attempt">Restarts in a row, this one included.</param>
    /// <param name="why">How it ended, or why the host ended it.</param>
    void Restarting(string member, TimeSpan delay, int attempt, string why)
    {
    }

    /// <summary>A member stays down although its policy would have it run.</summary>
    /// <param name="member">Its name.</param>
    /// <param name="why">What stands against it.</param>
    void GivenUp(string member, string why)
    {
    }
}
