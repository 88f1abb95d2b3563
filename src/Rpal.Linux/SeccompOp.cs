namespace Rpal.Linux;

/// <summary>seccomp(2): SECCOMP_* operations.</summary>
internal static class SeccompOp
{
    public const uint SetModeStrict = 0;
    public const uint SetModeFilter = 1;
    public const uint GetActionAvailable = 2;
    public const uint GetNotifSizes = 3;
}
