namespace Rpal.Hosting.Tests;

/// <summary>The programs that the tests run.</summary>
internal static class Programs
{
    private static readonly TimeSpan s_compilerLimit = TimeSpan.FromSeconds(120);
    private static readonly Dictionary<string, string> s_compiled = [];
    private static readonly string s_folder = Directory.CreateTempSubdirectory("rpal-programs-").FullName;

    static Programs() => AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(s_folder, recursive: true);

    /// <summary>Rpal.TestHost.dll.</summary>
    public static string Host => Beside("Rpal.TestHost") + ".dll";

    /// <summary>Rpal.LoaderMember's launcher; its assembly has ".dll" behind.</summary>
    public static string Member => Beside("Rpal.LoaderMember");

    /// <summary>A .NET member of that name, run by `dotnet`.</summary>
    public static MemberFile DotNet(string name, params string[] words) => new(name, "dotnet", [Member + ".dll", .. words]);

    /// <summary>Native/probe.c, compiled. Only for tests that are skipped without gcc.</summary>
    public static string Probe(params string[] options) => Compiled("probe", options);

    /// <summary>Native/space.c, compiled. Only for tests that are skipped without gcc.</summary>
    public static string Space() => Compiled("space", []);

    private static string Compiled(string source, string[] options)
    {
        string key = string.Join(' ', [source, .. options]);
        if (!s_compiled.TryGetValue(key, out string? program))
        {
            program = Path.Combine(s_folder, $"{source}{s_compiled.Count}");
            Run("gcc",
                ["-O1", "-w", "-pthread", .. options, "-o", program, Path.Combine(AppContext.BaseDirectory, "Native", $"{source}.c")]);
            s_compiled[key] = program;
        }

        return program;
    }

    public static void Run(string program, params string[] arguments)
    {
        ChildOutput r = Child.Run(s_compilerLimit, program, arguments);
        Assert.True(r.ExitCode == 0, $"{program} exited with {r.ExitCode}: {r.Error}");
    }

    private static string Beside(string project)
    {
        string output = AppContext.BaseDirectory.TrimEnd('/');
        return Path.Combine(output.Replace("/Rpal.Hosting.Tests/", $"/{project}/", StringComparison.Ordinal), project);
    }
}
