namespace Rpal.Linux;

/// <summary>fcntl(2): F_SEAL_*.</summary>
internal static class FileSeals
{
    public const int Seal = 0x1;
    public const int Shrink = 0x2;
    public const int Grow = 0x4;
    public const int Write = 0x8;
    public const int FutureWrite = 0x10;
}
