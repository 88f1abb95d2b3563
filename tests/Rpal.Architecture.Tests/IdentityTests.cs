using System.Text.RegularExpressions;

namespace Rpal.Architecture.Tests;

/// <summary>docs/identities.md asks of each identity what happens when it comes back; the code answers where it is used.</summary>
public sealed partial class IdentityTests
{
    [Fact]
    public void Every_identity_is_answered_for_in_the_code_that_uses_it()
    {
        Dictionary<string, string> sources = Repository.SourceFiles("src")
            .ToDictionary(file => Path.GetFileName(file)!, File.ReadAllText, StringComparer.Ordinal);
        string[] rows = [.. File.ReadLines(Path.Combine(Repository.Root, "docs", "identities.md"))
            .Where(line => line.StartsWith("| ", StringComparison.Ordinal)).Skip(1)];
        Assert.NotEmpty(rows);
        foreach (string row in rows)
        {
            string[] files = [.. FileName().Matches(row[row.TrimEnd(' ', '|').LastIndexOf('|')..]).Select(m => m.Groups[1].Value)];
            Assert.NotEmpty(files);
            foreach (string file in files)
            {
                Assert.True(sources.TryGetValue(file, out string? text), $"docs/identities.md names {file}, which is not there: {row}");
                Assert.True(text.Contains("comes back", StringComparison.OrdinalIgnoreCase),
                    $"{file} does not say what happens when the identity comes back: {row}");
            }
        }
    }

    [GeneratedRegex("`([A-Za-z.]+\\.cs)`")]
    private static partial Regex FileName();
}
