using System.Diagnostics;

namespace Rpal.LoaderMember.Scenarios;

/// <summary>What a program learns about itself.</summary>
internal static class LoaderIdentity
{
    private const int ShownCharacters = 200;

    public static int Arguments(string[] args)
    {
        Console.WriteLine($"count {args.Length}");
        foreach (string a in args)
        {
            Console.WriteLine($"{a.Length}:{(a.Length <= ShownCharacters ? a : a[..10] + ".." + a[^10..])}");
        }

        return 0;
    }

    public static int Variables(string[] names)
    {
        foreach (string name in names)
        {
            Console.WriteLine(Environment.GetEnvironmentVariable(name) is { } value ? $"{name}={value}" : $"{name} unset");
        }

        return 0;
    }

    public static int Identity(string[] args)
    {
        using Process self = Process.GetCurrentProcess();
        Console.WriteLine($"pid {Environment.ProcessId}");
        Console.WriteLine($"path {Environment.ProcessPath}");
        Console.WriteLine($"module {self.MainModule?.FileName}");
        Console.WriteLine($"link {File.ResolveLinkTarget("/proc/self/exe", false)?.FullName}");
        Console.WriteLine($"link-by-pid {File.ResolveLinkTarget($"/proc/{Environment.ProcessId}/exe", false)?.FullName}");
        Console.WriteLine($"directory {Environment.CurrentDirectory}");
        Console.WriteLine($"base {AppContext.BaseDirectory}");
        return 0;
    }

    /// <summary>Numbers and targets of the open descriptors, without those of the runtime itself.</summary>
    public static int Descriptors(string[] args)
    {
        foreach (string entry in Directory.GetFileSystemEntries("/proc/self/fd"))
        {
            if (new FileInfo(entry).LinkTarget is { } target)
            {
                Console.WriteLine($"{Path.GetFileName(entry)} {target}");
            }
        }

        return 0;
    }
}
