namespace Rpal.Linux;

/// <summary>mmap(2), mprotect(2): PROT_*.</summary>
internal static class Prot
{
    public const int None = 0;
    public const int Read = 1;
    public const int Write = 2;
    public const int Exec = 4;
}
