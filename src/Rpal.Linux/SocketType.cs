namespace Rpal.Linux;

/// <summary>socket(2): SOCK_*.</summary>
internal static class SocketType
{
    public const int Stream = 1;
    public const int Datagram = 2;
    public const int SequencedPacket = 5;
    public const int NonBlocking = 0x800;
    public const int CloseOnExec = 0x80000;
}
