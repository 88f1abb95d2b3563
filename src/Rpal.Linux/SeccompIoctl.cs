namespace Rpal.Linux;

/// <summary>seccomp_unotify(2): SECCOMP_IOCTL_NOTIF_*.</summary>
internal static class SeccompIoctl
{
    public const uint Receive = 0xc0502100;
    public const uint Send = 0xc0182101;
    public const uint IdValid = 0x40082102;
    public const uint AddFd = 0x40182103;
    public const uint SetFlags = 0x40082104;
}
