using System.Text.Json;
using Rpal.Linux;

namespace Rpal.Cli.Tests;

/// <summary>A folder in which hosts listen, of one test alone, and the families and commands that use it.</summary>
internal sealed class RunningFamily : IDisposable
{
    /// <summary>Bounds a hang. Nothing here takes that long, even when others use the CPUs.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly List<RpalProcess> _hosts = [];

    /// <summary>Where the sockets are: XDG_RUNTIME_DIR.</summary>
    public string Folder { get; } = Directory.CreateTempSubdirectory("rpal-control-").FullName;

    public string Socket(int pid) => Path.Combine(Folder, "rpal", $"{pid}.sock");

    public RpalProcess Run(params string[] words)
    {
        var host = new RpalProcess(null, ["run", .. words], runtimeFolder: Folder);
        _hosts.Add(host);
        return host;
    }

    /// <summary>A family from a file in <see cref="Folder"/>.</summary>
    public RpalProcess RunFile(string json, params string[] options)
    {
        File.WriteAllText(FamilyFile, json);
        return Run([.. options, FamilyFile]);
    }

    public string FamilyFile => Path.Combine(Folder, "family.json");

    public RpalProcess.Result Ask(params string[] words)
    {
        using var rpal = new RpalProcess(null, words, runtimeFolder: Folder);
        return rpal.End();
    }

    public JsonElement Ps(params string[] options)
    {
        RpalProcess.Result r = Ask(["ps", "--json", .. options]);
        Assert.True(r.ExitCode == 0, r.Error);
        return JsonDocument.Parse(r.Output).RootElement;
    }

    public JsonElement Member(string name) => Ps().GetProperty("members").EnumerateArray().Single(m => m.GetProperty("name").GetString() == name);

    /// <summary>Asks again until it is so.</summary>
    public void Comes(Func<bool> condition)
    {
        for (long begin = Environment.TickCount64; !condition();)
        {
            Assert.True(Environment.TickCount64 - begin < Patience.TotalMilliseconds, "it did not come");
        }
    }

    /// <summary>A program of the tests' own.</summary>
    public static string Program(string project) => Path.Combine(AppContext.BaseDirectory.TrimEnd('/').Replace("/Rpal.Cli.Tests/", $"/{project}/", StringComparison.Ordinal), project);

    public static bool IsAlive(int pid)
    {
        try
        {
            return !File.ReadAllText($"/proc/{pid}/stat").Contains(") Z ", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false;                                        // not there, or gone between open and read (ESRCH)
        }
    }

    public void Dispose()
    {
        foreach (RpalProcess host in _hosts)
        {
            host.Dispose();
        }

        Directory.Delete(Folder, recursive: true);
    }

    /// <summary>The number in "NAME  started: process N".</summary>
    public static int PidOf(RpalProcess host, string member)
    {
        string line = host.AwaitErrorLine($"{member}  started: process ");
        return int.Parse(line.Split("process ")[1].Split(',')[0]);
    }

    public static void Kill(int pid) => Assert.Equal(0, Sys.Kill(pid, Signal.SIGKILL));
}
