namespace Rpal.Linux;

/// <summary>mlockall(2): MCL_*.</summary>
internal static class LockFlags
{
    public const int Current = 1;
    public const int Future = 2;
    public const int OnFault = 4;
}
