namespace Rpal.Linux;

/// <summary>The running kernel's version, from /proc/sys/kernel/osrelease (proc_sys_kernel(5)); uname(2) can be faked by personality(2).</summary>
internal static class KernelVersion
{
    private static string? s_release;
    private static Version? s_current;

    /// <summary>As the kernel says it, for example "6.8.0-45-generic".</summary>
    /// <exception cref="IOException">It cannot be read, for want of a descriptor perhaps: it is asked again then.</exception>
    public static string Release => s_release ??= File.ReadAllText("/proc/sys/kernel/osrelease").Trim();

    /// <summary>Major and minor number.</summary>
    /// <exception cref="IOException">As for <see cref="Release"/>.</exception>
    public static Version Current => s_current ??= Parse(Release);

    public static bool IsAtLeast(int major, int minor) => Current >= new Version(major, minor);

    /// <summary>The two leading numbers of a release string.</summary>
    internal static Version Parse(string release)
    {
        string[] parts = release.Split('.', 3);
        ReadOnlySpan<char> minor = parts.Length > 1 ? parts[1] : "";
        int digits = minor.IndexOfAnyExceptInRange('0', '9');
        return int.TryParse(parts[0], out int major) && int.TryParse(digits < 0 ? minor : minor[..digits], out int second)
            ? new Version(major, second)
            : throw new FormatException($"Kernel release \"{release}\" does not start with two numbers.");
    }
}
