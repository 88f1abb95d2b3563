namespace Rpal.Linux;

/// <summary>epoll_ctl(2): EPOLL_CTL_*.</summary>
internal static class EpollOp
{
    public const int Add = 1;
    public const int Delete = 2;
    public const int Modify = 3;
}
