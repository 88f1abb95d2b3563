namespace Rpal.Linux;

/// <summary>memfd_create(2): MFD_*.</summary>
internal static class MemfdFlags
{
    public const uint CloseOnExec = 0x1;
    public const uint AllowSealing = 0x2;
    public const uint HugeTlb = 0x4;
    public const uint HugePage2MiB = 21u << 26;
}
