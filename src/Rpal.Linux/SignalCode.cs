namespace Rpal.Linux;

/// <summary>sigaction(2): values of si_code. Cld* with SIGCHLD, Sys* with SIGSYS, Segv* with SIGSEGV.</summary>
internal static class SignalCode
{
    public const int User = 0;
    public const int Kernel = 0x80;
    public const int Queue = -1;
    public const int Tkill = -6;
    public const int CldExited = 1;
    public const int CldKilled = 2;
    public const int CldDumped = 3;
    public const int CldTrapped = 4;
    public const int CldStopped = 5;
    public const int CldContinued = 6;
    public const int SysSeccomp = 1;
    public const int SysUserDispatch = 2;
    public const int SegvMapError = 1;
    public const int SegvAccessError = 2;
    public const int SegvPkeyError = 4;
}
