namespace Rpal.Linux;

/// <summary>seccomp(2): SECCOMP_FILTER_FLAG_*.</summary>
internal static class SeccompFlags
{
    public const uint ThreadSync = 1;
    public const uint Log = 2;
    public const uint SpecAllow = 4;
    public const uint NewListener = 8;
    public const uint ThreadSyncEsrch = 0x10;
    public const uint WaitKillableRecv = 0x20;
}
