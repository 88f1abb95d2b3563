namespace Rpal;

/// <summary>Why Rpal could not do what was asked.</summary>
public enum RpalError
{
    /// <summary>This process was not started by <c>rpal run</c>.</summary>
    NotInFamily,

    /// <summary>The family's host and this program were built with different versions of Rpal's memory layout.</summary>
    VersionMismatch,

    /// <summary>The kernel or CPU lacks something that calls need. <c>rpal doctor</c> says more.</summary>
    Unsupported,

    /// <summary>A service of that name is registered already.</summary>
    NameTaken,

    /// <summary>A documented limit is reached; the message names it.</summary>
    LimitReached,

    /// <summary>The service has no such method.</summary>
    NoSuchMethod,

    /// <summary>Request or answer have not the size that the method takes.</summary>
    WrongSize,

    /// <summary>The service is closed.</summary>
    Closed,
}

/// <summary>A broken contract or a missing precondition. What can happen to any correct program is a <see cref="CallStatus"/> instead.</summary>
public sealed class RpalException : Exception
{
    internal RpalException(RpalError error, string message)
        : base(message) => Error = error;

    /// <summary>Which.</summary>
    public RpalError Error { get; }
}
