namespace Rpal.Machine.Tests;

/// <summary>Files of the working copy.</summary>
internal static class Repository
{
    private static readonly string s_root = Find();

    public static string PathOf(params string[] parts) => Path.Combine([s_root, .. parts]);

    private static string Find()
    {
        for (DirectoryInfo? d = new(AppContext.BaseDirectory); d is not null; d = d.Parent)
        {
            if (File.Exists(Path.Combine(d.FullName, "Rpal.slnx")))
            {
                return d.FullName;
            }
        }

        throw new InvalidOperationException("Rpal.slnx is in no directory above the test's.");
    }
}
