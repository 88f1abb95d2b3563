namespace Rpal.Linux;

/// <summary>seccomp_unotify(2): flags of an answer, and of the listener (SyncWakeUp).</summary>
internal static class SeccompNotifFlags
{
    public const uint Continue = 1;
    public const uint SyncWakeUp = 1;
}
