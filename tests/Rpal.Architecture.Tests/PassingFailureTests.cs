using System.Text.RegularExpressions;

namespace Rpal.Architecture.Tests;

/// <summary>What fails once, for want of a descriptor perhaps, is asked again:
/// nothing keeps an exception for the life of a process.</summary>
/// <remarks>A Lazy keeps it unless its mode is PublicationOnly, a static initializer always does (TypeInitializationException).</remarks>
public sealed partial class PassingFailureTests
{
    [Fact]
    public void Nothing_in_the_product_keeps_a_passing_failure()
    {
        string[] found = [.. Repository.SourceFiles("src")
            .SelectMany(file => Keepers(File.ReadAllText(file)).Select(text => $"{Path.GetRelativePath(Repository.Root, file)}: {text}"))];
        Assert.True(found.Length == 0, $"Kept for ever when it fails:\n{string.Join('\n', found)}");
    }

    [Theory]
    [InlineData("private static readonly Lazy<int> s_a = new(Read);")]
    [InlineData("private static readonly Lazy<int> s_a = new(static () =>\n  File.ReadAllText(\"a\").Length);")]
    [InlineData("public static string Release { get; } = File.ReadAllText(\"a\").Trim();")]
    [InlineData("private static readonly string[] s_a = File.ReadAllLines(\"a\");")]
    [InlineData("private static readonly string s_a = new(Directory.GetFiles(\"a\")[0]);")]
    public void What_keeps_one_is_found(string source) => _ = Assert.Single(Keepers(source));

    [Theory]
    [InlineData("private static readonly Lazy<int> s_a = new(Read, LazyThreadSafetyMode.PublicationOnly);")]
    [InlineData("public static string Release => s_release ??= File.ReadAllText(\"a\");")]
    [InlineData("public static int Read() { int n = File.ReadAllLines(\"a\").Length; return n; }")]
    [InlineData("private static readonly Func<string> s_a = () => File.ReadAllText(\"a\");")]
    public void What_asks_again_is_not_found(string source) => Assert.Empty(Keepers(source));

    private static IEnumerable<string> Keepers(string source) =>
        Initializers().Matches(source).Select(m => m.Value).Where(static text => text.Contains("Lazy<", StringComparison.Ordinal)
            ? !text.Contains("PublicationOnly", StringComparison.Ordinal)
            : Reading().IsMatch(text));

    /// <summary>Fields and properties with an initializer, up to the statement's end.</summary>
    [GeneratedRegex(@"\bstatic\s[^=;(){}]*(\{ get; \}\s*)?=(?!>)[^;]*;|\bLazy<[^;]*;")]
    private static partial Regex Initializers();

    /// <summary>Before any lambda: what that reads is read later.</summary>
    [GeneratedRegex(@"^[^=]*=((?!=>)[^;])*\b(File|Directory|FileStream)\b[.(]")]
    private static partial Regex Reading();
}
