using System.Reflection;

namespace Rpal.Cli.Bench;

/// <summary>How to start this program once more, in one of its benchmark roles.</summary>
internal static class SelfCommand
{
    /// <summary>First argument of a process that plays a role; see <see cref="BenchRoles"/>.</summary>
    public const string RoleWord = "bench-role";

    public static (string Command, string[] Arguments) For(params string[] role) => With([RoleWord, .. role]);

    public static (string Command, string[] Arguments) With(params string[] words)
    {
        string path = Environment.ProcessPath ?? throw new InvalidOperationException("This program's path is unknown.");
        return Path.GetFileNameWithoutExtension(path) == "dotnet" ? (path, [Assembly.GetExecutingAssembly().Location, .. words]) : (path, words);
    }
}
