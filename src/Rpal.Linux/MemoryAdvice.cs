namespace Rpal.Linux;

/// <summary>madvise(2): MADV_*.</summary>
internal static class MemoryAdvice
{
    public const int Normal = 0;
    public const int WillNeed = 3;
    public const int DontNeed = 4;
    public const int Free = 8;
    public const int Remove = 9;
    public const int DontFork = 10;
    public const int DoFork = 11;
    public const int HugePage = 14;
    public const int NoHugePage = 15;
    public const int DontDump = 16;
    public const int WipeOnFork = 18;
    public const int PopulateRead = 22;
    public const int PopulateWrite = 23;
}
