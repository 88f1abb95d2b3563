using System.Globalization;
using Rpal.Linux;

namespace Rpal.Hosting.Loading;

/// <summary>Why the kernel refused a mapping that the host makes for a member, with the limit that was reached.</summary>
internal static class MappingRefusal
{
    /// <param name="what">Which mapping.</param>
    /// <param name="error">Its -errno.</param>
    public static MemberStartException Of(string what, int error) => (Errno)(-error) switch
    {
        Errno.EPERM or Errno.EACCES =>
            new(126, $"{what}: permission denied ({(Errno)(-error)}): its file system is mounted noexec, or a security policy forbids it."),
        Errno.EAGAIN => new(125, $"{what}: {ErrnoText.Describe(error)}. {Locked()}"),
        Errno.ENOMEM => new(125, $"{what}: {ErrnoText.Describe(error)}. {Used()}"),
        _ => new(125, $"{what}: {ErrnoText.Describe(error)}."),
    };

    /// <summary>mlockall(2) with MCL_FUTURE, by a member or the host, is the address space's: then mappings count as locked, and the host's
    /// limit holds for those that it makes.</summary>
    private static string Locked() =>
        $"All new memory of the family is locked (mlockall), {Kibibytes("VmLck")} KiB are; "
            + $"the host's RLIMIT_MEMLOCK is {Text(Sys.Limit(Resource.LockedMemory))}. "
            + $"Raise it: prlimit --memlock=unlimited --pid {Environment.ProcessId}";

    private static string Used()
    {
        long limit = Sys.Limit(Resource.AddressSpace), data = Sys.Limit(Resource.Data);
        return limit != Sys.NoLimit
            ? $"The family has {Kibibytes("VmSize")} KiB mapped and the host's RLIMIT_AS is {limit} bytes. "
            + $"Raise it: prlimit --as=unlimited --pid {Environment.ProcessId}"
            : data != Sys.NoLimit ? $"The family has {Kibibytes("VmData")} KiB of data and the host's RLIMIT_DATA is {data} bytes. "
            + $"Raise it: prlimit --data=unlimited --pid {Environment.ProcessId}"
            : $"The family has {AddressMap.Count()} mappings; vm.max_map_count is {File.ReadAllText("/proc/sys/vm/max_map_count").Trim()}.";
    }

    private static string Text(long limit) => limit == Sys.NoLimit ? "unlimited" : $"{limit} bytes";

    /// <summary>A line of /proc/self/status, without its unit.</summary>
    private static string Kibibytes(string name)
    {
        string? line = File.ReadLines("/proc/self/status").FirstOrDefault(l => l.StartsWith(name + ":", StringComparison.Ordinal));
        return line is null ? "some" : long.Parse(line.AsSpan(name.Length + 1).Trim().TrimEnd("kB ").ToString(), CultureInfo.InvariantCulture).ToString(CultureInfo.InvariantCulture);
    }
}
