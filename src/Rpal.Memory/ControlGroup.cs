namespace Rpal.Memory;

/// <summary>The control groups whose limits hold for this process: its own and their parents, in both versions. Source: cgroups(7).</summary>
/// <param name="readFile">A file's text, or null: see <see cref="Read"/>.</param>
/// <param name="controller">Of version 1: cpu, memory.</param>
internal sealed class ControlGroup(Func<string, string?> readFile, string controller)
{
    private const string Root = "/sys/fs/cgroup";

    /// <summary>Their directories, those of version 2 first. One that is not there is the reader's to find out.</summary>
    public IEnumerable<string> Directories()
    {
        string text = readFile("/proc/self/cgroup") ?? "";
        return [.. Upwards(Root, PathIn(text, w => w[0] == "0")), .. Upwards($"{Root}/{controller}", PathIn(text, w => w[1].Split(',').Contains(controller)))];
    }

    /// <summary>A file's text, or null when it cannot be read.</summary>
    public static string? Read(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>From a group to the root; a path has few parts.</summary>
    private static IEnumerable<string> Upwards(string root, string path)
    {
        for (; path.Length > 0; path = path[..Math.Max(0, path.LastIndexOf('/'))])
        {
            yield return root + path;
        }

        yield return root;
    }

    /// <summary>"0::/a/b" in version 2, "4:cpu,cpuacct:/a/b" in version 1.</summary>
    private static string PathIn(string text, Func<string[], bool> isMeant)
    {
        foreach (string line in text.Split('\n'))
        {
            string[] words = line.Split(':', 3);
            if (words.Length == 3 && words[2].StartsWith('/') && isMeant(words))
            {
                string path = words[2].TrimEnd('/');
                return path.Contains("..", StringComparison.Ordinal) ? "" : path;          // of a group outside of what this container sees
            }
        }

        return "";
    }
}
