namespace Rpal.Linux;

/// <summary>epoll_ctl(2): EPOLL*.</summary>
internal static class EpollEvents
{
    public const uint In = 1;
    public const uint Out = 4;
    public const uint Error = 8;
    public const uint HangUp = 0x10;
    public const uint ReadHangUp = 0x2000;
    public const uint Exclusive = 1u << 28;
    public const uint OneShot = 1u << 30;
    public const uint EdgeTriggered = 1u << 31;
}
