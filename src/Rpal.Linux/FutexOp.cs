namespace Rpal.Linux;

/// <summary>futex(2): FUTEX_*, process-private.</summary>
internal static class FutexOp
{
    public const int WaitPrivate = 0x80;
    public const int WakePrivate = 0x81;
}
