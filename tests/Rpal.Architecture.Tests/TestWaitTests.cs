using System.Text.RegularExpressions;

namespace Rpal.Architecture.Tests;

/// <summary>A test ends within a bound that it states, also when it fails, and leaves no process behind.</summary>
public sealed partial class TestWaitTests
{
    [Fact]
    public void Tests_and_their_programs_wait_with_a_limit()
    {
        string[] found = Found(UnboundedWait());
        Assert.True(found.Length == 0, $"Waits without a limit (a limit is an argument: Join(limit)):\n{string.Join('\n', found)}");
    }

    /// <summary>Programs that run as members may start processes as they like: whoever runs the family kills them too.</summary>
    [Fact]
    public void Tests_start_processes_as_children_that_end_with_them()
    {
        string[] found = [.. Found(ProcessStart()).Where(f => f.Split('/')[1].EndsWith(".Tests", StringComparison.Ordinal))];
        Assert.True(found.Length == 0, $"Start it with Child (tests/Children):\n{string.Join('\n', found)}");
    }

    [Theory]
    [InlineData("thread.Join();")]
    [InlineData("threads[0]?.Join();")]
    [InlineData("Array.ForEach(threads, t => t.Join());")]
    [InlineData("done.Wait();")]
    [InlineData("process.WaitForExit();")]
    [InlineData("await process.WaitForExitAsync();")]
    [InlineData("string all = reader.ReadToEnd();")]
    [InlineData("handle.WaitOne();")]
    [InlineData("Monitor.Wait(_lock);")]
    public void What_waits_for_ever_is_found(string line) => Assert.Matches(UnboundedWait(), line);

    [Theory]
    [InlineData("thread.Join(limit);")]
    [InlineData("string.Join(' ', words)")]
    [InlineData("Monitor.Wait(_lock, 1000);")]
    [InlineData("stream.ReadToEndAsync();")]
    public void What_has_a_limit_or_does_not_wait_is_not_found(string line) => Assert.DoesNotMatch(UnboundedWait(), line);

    /// <returns>Lines as FILE:NUMBER: TEXT, this file's left out.</returns>
    private static string[] Found(Regex pattern) =>
        [.. from file in Repository.SourceFiles("tests")
            let name = Path.GetRelativePath(Repository.Root, file)
            where Path.GetFileName(file) != nameof(TestWaitTests) + ".cs"
            from line in File.ReadLines(file).Select((text, i) => (Text: text.Trim(), Number: i + 1))
            where !line.Text.StartsWith("//", StringComparison.Ordinal) && pattern.IsMatch(line.Text)
            select $"{name}:{line.Number}: {line.Text}"];

    [GeneratedRegex(@"\.(Join|Wait|WaitOne|WaitForExit|WaitForExitAsync|ReadToEnd)\(\)|Monitor\.Wait\([^,()]*\)")]
    private static partial Regex UnboundedWait();

    [GeneratedRegex(@"\b(Process\.Start\(|new Process\b(?!StartInfo))")]
    private static partial Regex ProcessStart();
}
