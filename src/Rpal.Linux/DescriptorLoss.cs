namespace Rpal.Linux;

/// <summary>Why descriptors that came with a message could not be taken (recvmsg(2), MSG_CTRUNC). None of that message is left
/// open.</summary>
internal enum DescriptorLoss : byte
{
    /// <summary>None was lost: there are as many as were sent.</summary>
    None = 0,

    /// <summary>More were sent than were asked for: the sender's doing. (Or the socket has SO_PASSPIDFD, for which there is no
    /// room.)</summary>
    TooManySent = 1,

    /// <summary>The kernel could not install them here: this process has as many as RLIMIT_NOFILE allows, the system as many as
    /// fs.file-max, or a security module forbids it.</summary>
    NotInstalled = 2,

    /// <summary>The socket's options ask for other control messages, which took the room: SO_PASSCRED, SO_PASSSEC, SO_TIMESTAMP and the
    /// like.</summary>
    RoomTaken = 3,
}
