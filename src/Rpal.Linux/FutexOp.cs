namespace Rpal.Linux;

/// <summary>futex(2): FUTEX_*; private words belong to one process, shared ones lie in a file's pages.</summary>
internal static class FutexOp
{
    public const int Wait = 0x0;
    public const int Wake = 0x1;
    public const int WaitPrivate = 0x80;
    public const int WakePrivate = 0x81;
}
