namespace Rpal.Linux;

/// <summary>The running kernel's version, from /proc/sys/kernel/osrelease (proc_sys_kernel(5)); uname(2) can be faked by personality(2).</summary>
internal static class KernelVersion
{
    /// <summary>As the kernel says it, for example "6.8.0-45-generic".</summary>
    public static string Release { get; } = File.ReadAllText("/proc/sys/kernel/osrelease").Trim();

    /// <summary>Major and minor number.</summary>
    public static Version Current { get; } = Parse(Release);

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
