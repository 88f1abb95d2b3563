namespace Rpal.Linux;

/// <summary>waitid(2): W*.</summary>
internal static class WaitOptions
{
    public const int NoHang = 1;
    public const int Stopped = 2;
    public const int Exited = 4;
    public const int Continued = 8;
    public const int NoWait = 0x01000000;
    public const int CloneChildrenToo = unchecked((int)0x80000000);
    public const int OwnThreadOnly = 0x20000000;
    public const int AnyChild = 0x40000000;
}
