using Rpal.Memory.Segments;
using Rpal.Memory.Waiting;

namespace Rpal.Memory.Tests.Waiting;

/// <summary>The example of docs/memory/waiting.md, in one process.</summary>
public sealed class WaitingDocumentationTests
{
    [Fact]
    public async Task Use()
    {
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore[] requests = SharedSemaphore.CreateMany(segment, 1000);        // part 0
        int seats = SemaphoreSet.CreateSeats(segment, seats: 4, members: 1000);        // part 1: one seat for each set, and each process that uses async

        SharedSemaphore mine = SharedSemaphore.Open(segment, part: 0, index: 7);
        Assert.Equal(ReleaseStatus.Released, mine.Release());

        using SemaphoreSet set = SemaphoreSet.Join(segment, seats);
        foreach (SharedSemaphore s in requests)
        {
            set.Add(s);
        }

        Assert.Equal(WaitStatus.Acquired, set.WaitAny(TimeSpan.FromSeconds(1), out SharedSemaphore? which));
        Assert.Equal(7, Array.IndexOf(requests, which));

        ValueTask<WaitStatus> later = requests[3].WaitAsync();
        Assert.False(later.IsCompleted);
        requests[3].Release();
        Assert.Equal(WaitStatus.Acquired, await later.AsTask().WaitAsync(PeerProcess.Patience));

        Microsoft.Win32.SafeHandles.SafeFileHandle readable = requests[4].EventFd;
        AsyncWaitTests.Read(readable);                           // at first: look
        Assert.Equal(WaitStatus.TimedOut, requests[4].TryWait());
        requests[4].Release();
        Assert.True(AsyncWaitTests.Readable(readable, (int)PeerProcess.Patience.TotalMilliseconds));
        Assert.Equal(WaitStatus.Acquired, requests[4].TryWait());
    }

    /// <summary>The page has no other example, and this one word for word but for what it prints.</summary>
    [Fact]
    public void Its_lines_are_those_of_the_test()
    {
        string page = File.ReadAllText(Path.Combine(Repository(), "docs/memory/waiting.md")), test = File.ReadAllText(Path.Combine(Repository(), "tests/Rpal.Memory.Tests/Waiting/WaitingDocumentationTests.cs"));
        string[] shown = page.Split("```csharp\n")[1].Split("```")[0].Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        string[] done = test.Split('\n', StringSplitOptions.TrimEntries);
        string[] lines = [.. shown.Where(l => l.Contains('=', StringComparison.Ordinal) && l.EndsWith(';') || l.Contains("; ", StringComparison.Ordinal))];
        Assert.Equal(2, page.Split("```csharp\n").Length);
        Assert.True(lines.Length >= 7);
        Assert.All(lines, l => Assert.Contains(l, done));
    }

    private static string Repository()
    {
        string? at = AppContext.BaseDirectory;
        while (at is not null && !File.Exists(Path.Combine(at, "Rpal.slnx")))
        {
            at = Path.GetDirectoryName(at);
        }

        return at ?? throw new InvalidOperationException("The tests do not lie in the repository.");
    }
}
