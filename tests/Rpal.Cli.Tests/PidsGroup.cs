namespace Rpal.Cli.Tests;

/// <summary>A control group that limits processes, below the one that the tests run in.</summary>
internal sealed class PidsGroup : IDisposable
{
    private static readonly string? s_parent = Parent();
    private readonly string _folder = Path.Combine(s_parent!, $"rpal-test-{Guid.NewGuid():N}");

    public PidsGroup() => Directory.CreateDirectory(_folder);

    /// <summary>Why tests that need it are skipped; null when one can be made.</summary>
    public static string? Missing { get; } = s_parent is null
        ? "needs a control group with the pids controller in which groups can be made" : null;

    public void Add(int pid) => File.WriteAllText(Path.Combine(_folder, "cgroup.procs"), $"{pid}");

    public void Limit(string most) => File.WriteAllText(Path.Combine(_folder, "pids.max"), most);

    /// <summary>Who is in it goes back: a group with processes cannot be removed.</summary>
    public void Dispose()
    {
        Limit("max");
        foreach (string pid in File.ReadAllLines(Path.Combine(_folder, "cgroup.procs")))
        {
            try
            {
                File.WriteAllText(Path.Combine(s_parent!, "cgroup.procs"), pid);
            }
            catch (IOException)
            {
                // it has ended
            }
        }

        Directory.Delete(_folder);
    }

    private static string? Parent()
    {
        foreach (string line in File.ReadAllLines("/proc/self/cgroup"))
        {
            string[] parts = line.Split(':', 3);
            string folder = (parts[1].Length == 0 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/pids") + parts[2].TrimEnd('/');
            if ((parts[1].Length == 0 || parts[1].Split(',').Contains("pids")) && CanMake(folder))
            {
                return folder;
            }
        }

        return null;
    }

    private static bool CanMake(string folder)
    {
        string trial = Path.Combine(folder, $"rpal-trial-{Guid.NewGuid():N}");
        try
        {
            Directory.CreateDirectory(trial);
            bool hasPids = File.Exists(Path.Combine(trial, "pids.max"));
            Directory.Delete(trial);
            return hasPids;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}

/// <summary>A test that limits processes: reported as skipped where that is not allowed.</summary>
internal sealed class NeedsPidsGroupFactAttribute : FactAttribute
{
    public NeedsPidsGroupFactAttribute() => Skip = PidsGroup.Missing;
}
