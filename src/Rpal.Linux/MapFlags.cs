namespace Rpal.Linux;

/// <summary>mmap(2): MAP_*.</summary>
internal static class MapFlags
{
    public const int Shared = 0x1;
    public const int Private = 0x2;
    public const int SharedValidate = 0x3;
    public const int Fixed = 0x10;
    public const int Anonymous = 0x20;
    public const int Low32Bit = 0x40;
    public const int GrowsDown = 0x100;
    public const int Locked = 0x2000;
    public const int NoReserve = 0x4000;
    public const int Populate = 0x8000;
    public const int NonBlock = 0x10000;
    public const int Stack = 0x20000;
    public const int HugeTlb = 0x40000;
    public const int FixedNoreplace = 0x100000;
}
