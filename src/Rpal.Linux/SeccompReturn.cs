namespace Rpal.Linux;

/// <summary>seccomp(2): SECCOMP_RET_* of a filter. The low 16 bits carry data.</summary>
internal static class SeccompReturn
{
    public const uint KillProcess = 0x80000000;
    public const uint KillThread = 0;
    public const uint Trap = 0x00030000;
    public const uint Errno = 0x00050000;
    public const uint UserNotif = 0x7fc00000;
    public const uint Trace = 0x7ff00000;
    public const uint Log = 0x7ffc0000;
    public const uint Allow = 0x7fff0000;
}
