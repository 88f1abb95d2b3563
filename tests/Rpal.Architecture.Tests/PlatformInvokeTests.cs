using System.Text.RegularExpressions;

namespace Rpal.Architecture.Tests;

/// <summary>The analyzer of BannedSymbols.txt can be silenced by a pragma; the text cannot.</summary>
public sealed partial class PlatformInvokeTests
{
    [Fact]
    public void Only_Rpal_Linux_calls_into_native_libraries()
    {
        string home = Path.Combine(Repository.Root, "src", "Rpal.Linux") + "/";
        string[] users = [.. from folder in (string[])["src", "tests"]
                             from file in Repository.SourceFiles(folder)
                             where NativeImport().IsMatch(File.ReadAllText(file))
                             select file];

        // That the home is found proves that the search finds anything.
        Assert.Contains(users, file => file.StartsWith(home, StringComparison.Ordinal));
        Assert.DoesNotContain(users, file => !file.StartsWith(home, StringComparison.Ordinal));
    }

    /// <summary>The attribute in use, at the head of a list or after a comma or a namespace.</summary>
    [GeneratedRegex(@"[\[,.]\s*(DllImport|LibraryImport)(Attribute)?\s*\(")]
    private static partial Regex NativeImport();
}
