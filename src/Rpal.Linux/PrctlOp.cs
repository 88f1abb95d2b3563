namespace Rpal.Linux;

/// <summary>prctl(2): PR_*.</summary>
internal static class PrctlOp
{
    public const int SetParentDeathSignal = 1;
    public const int GetDumpable = 3;
    public const int SetDumpable = 4;
    public const int SetName = 15;
    public const int GetName = 16;
    public const int SetSeccomp = 22;
    public const int SetTimerSlack = 29;
    public const int SetMm = 35;
    public const int SetChildSubreaper = 36;
    public const int SetNoNewPrivileges = 38;
    public const int GetNoNewPrivileges = 39;
    public const int SetThpDisable = 41;
    public const int GetThpDisable = 42;
    public const int SetSyscallUserDispatch = 59;
    public const int SetMdwe = 65;
    public const int SetMemoryMerge = 67;
    public const int FutexHash = 78;
    public const int SetVma = 0x53564d41;
    public const int SetPtracer = 0x59616d61;
}
