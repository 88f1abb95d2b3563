using Rpal.Linux;

namespace Rpal.Hosting.Broker;

/// <summary>Who waits for the answer to a system call.</summary>
/// <remarks>
/// It is a thread and not a process: descriptors, credentials, directories and namespaces are the calling thread's own (unshare(2),
/// credentials(7)),
/// so whatever the host does for a call it does with that thread's. Comes back: its TID, as soon as it is killed; the notification's id
/// does not.
/// </remarks>
/// <param name="Tid">The calling thread.</param>
/// <param name="IsMember">Whether it is one of the member's process; else of a child that has the member's filter.</param>
/// <param name="Listener">Where the call arrived.</param>
/// <param name="Id">The call.</param>
internal readonly record struct Caller(int Tid, bool IsMember, int Listener, ulong Id)
{
    /// <summary>Whether it still waits: what was read or opened under its number before was its own. Source: seccomp_unotify(2).</summary>
    public bool StillWaits => Sys.NotifIdValid(Listener, Id) == 0;
}
