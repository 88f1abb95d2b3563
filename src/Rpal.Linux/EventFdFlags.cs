namespace Rpal.Linux;

/// <summary>eventfd(2): EFD_*.</summary>
internal static class EventFdFlags
{
    public const int Semaphore = 1;
    public const int NonBlocking = 0x800;
    public const int CloseOnExec = 0x80000;
}
