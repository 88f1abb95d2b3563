namespace Rpal.Linux;

/// <summary>poll(2): POLL*.</summary>
internal static class PollEvents
{
    public const short In = 1;
    public const short Priority = 2;
    public const short Out = 4;
    public const short Error = 8;
    public const short HangUp = 0x10;
    public const short Invalid = 0x20;
    public const short ReadHangUp = 0x2000;
}
