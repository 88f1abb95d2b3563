namespace Rpal.Architecture.Tests;

/// <summary>The sources, found from where this assembly lies.</summary>
internal static class Repository
{
    public static string Root { get; } = FindRoot();

    public static string[] SourceProjects() => Directory.GetFiles(Path.Combine(Root, "src"), "*.csproj", SearchOption.AllDirectories);

    /// <summary>All C# files that people wrote, under the folder of that name.</summary>
    public static IEnumerable<string> SourceFiles(string folder) =>
        from file in Directory.EnumerateFiles(Path.Combine(Root, folder), "*.cs", SearchOption.AllDirectories)
        let parts = Path.GetRelativePath(Root, file).Split('/')
        where !parts.Contains("obj") && !parts.Contains("bin")
        select file;

    private static string FindRoot()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Rpal.slnx")))
            {
                return folder.FullName;
            }
        }

        throw new InvalidOperationException($"No Rpal.slnx above {AppContext.BaseDirectory}: run this test from inside the repository.");
    }
}
