using Rpal.Linux;

namespace Rpal.Hosting.Loading;

/// <summary>What limits the number of processes and threads, for whoever has just got EAGAIN for one. Source: fork(2), cgroup-v2
/// pids.</summary>
internal static class TaskLimits
{
    private const string GroupRoot = "/sys/fs/cgroup";

    /// <summary>A sentence with a blank before it.</summary>
    public static string Describe()
    {
        long perUser = Sys.Limit(Resource.Processes);
        return $" The host's RLIMIT_NPROC is {(perUser == Sys.NoLimit ? "unlimited" : $"{perUser} processes and threads of this user")}; "
            + $"{Groups()}; kernel.threads-max is {Read("/proc/sys/kernel/threads-max") ?? "not readable"}.";
    }

    /// <summary>Of the host's control group and those above it the one with the fewest left.</summary>
    private static string Groups()
    {
        foreach (string line in ReadLines("/proc/self/cgroup"))
        {
            string[] parts = line.Split(':', 3);
            if (parts.Length == 3 && (parts[1].Length == 0 || parts[1].Split(',').Contains("pids")))
            {
                string root = parts[1].Length == 0 ? GroupRoot : $"{GroupRoot}/pids";
                for (string? group = parts[2]; group is not null; group = Path.GetDirectoryName(group))
                {
                    string folder = root + group.TrimEnd('/');
                    if (Read(folder + "/pids.max") is { } max && max != "max")
                    {
                        return $"its control group's pids.max is {max}, {Read(folder + "/pids.current") ?? "an unknown number"} are in use ({folder})";
                    }
                }
            }
        }

        return "its control groups set no pids.max";
    }

    private static string? Read(string file) => ReadLines(file).FirstOrDefault()?.Trim();

    private static string[] ReadLines(string file)
    {
        try
        {
            return File.ReadAllLines(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
