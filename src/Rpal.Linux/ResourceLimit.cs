namespace Rpal.Linux;

/// <summary>setrlimit(2): RLIMIT_*.</summary>
internal static class ResourceLimit
{
    public const int Data = 2;
    public const int AddressSpace = 9;

    /// <summary>RLIM_INFINITY.</summary>
    public const ulong Unlimited = ulong.MaxValue;
}
