namespace Rpal.Hosting.Loading;

/// <summary>The capabilities that this process had at its start (capabilities(7)). Members begin with the same.</summary>
internal static class HostCapabilities
{
    private const int IpcLock = 14, SysPtrace = 19, SysAdmin = 21;

    /// <summary>Asked again when it fails: there may be no descriptor free just now.</summary>
    private static readonly Lazy<ulong> s_effective = new(Read, LazyThreadSafetyMode.PublicationOnly);

    /// <summary>A filter needs no no_new_privs then, and members can still start setuid programs.</summary>
    public static bool MayFilter => Has(SysAdmin);

    /// <summary>Members' descriptors are at hand whatever their user and whether the address space is dumpable or not.</summary>
    public static bool MayTrace => Has(SysPtrace);

    /// <summary>RLIMIT_MEMLOCK does not count.</summary>
    public static bool MayLock => Has(IpcLock);

    private static bool Has(int capability) => (s_effective.Value >> capability & 1) != 0;

    private static ulong Read()
    {
        string? line = File.ReadLines("/proc/self/status").FirstOrDefault(l => l.StartsWith("CapEff:", StringComparison.Ordinal));
        return line is null ? 0 : Convert.ToUInt64(line[7..].Trim(), 16);
    }
}
