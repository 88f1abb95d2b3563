using System.Threading.Channels;
using Rpal.Hosting.Control;
using Rpal.Hosting.Supervision;

namespace Rpal.Hosting.Tests;

public sealed class LogBookTests
{
    [Fact]
    public void Each_members_newest_lines_are_kept_within_its_limit()
    {
        var book = new LogBook();
        byte[] line = new byte[FamilyHost.LineBytesLimit];
        book.Add("quiet", true, "first"u8);
        for (int i = 0; i < 10_000; i++)
        {
            book.Add("loud", false, line);
        }

        book.Add("loud", false, "last"u8);
        List<LogLine> kept = book.Read(null, int.MaxValue, follow: false).Last;
        Assert.InRange(kept.Sum(l => l.Text.Length), LogBook.MemberBytesLimit / 2, LogBook.MemberBytesLimit);
        Assert.Equal("last"u8, kept[^1].Text);
        Assert.Equal(("quiet", true), (kept[0].Member, kept[0].IsError));
        Assert.Single(book.Read(null, 1, follow: false).Last);
    }

    [Fact]
    public async Task A_follower_that_does_not_read_is_dropped_and_told_after_what_it_had()
    {
        var book = new LogBook();
        ChannelReader<LogLine> slow = book.Read(null, 0, follow: true).Next!;
        for (int i = 0; i <= LogBook.FollowerLinesLimit; i++)
        {
            book.Add("a", false, "x"u8);
        }

        int seen = 0;
        await Assert.ThrowsAsync<FollowerTooSlowException>(async () =>
        {
            await foreach (LogLine _ in slow.ReadAllAsync())
            {
                seen++;
            }
        });
        Assert.Equal(LogBook.FollowerLinesLimit, seen);
    }

    [Theory]
    [InlineData(1, 0.1)]
    [InlineData(2, 0.2)]
    [InlineData(9, 25.6)]
    [InlineData(10, 30)]
    [InlineData(int.MaxValue, 30)]
    public void Delays_double_up_to_the_longest(int attempt, double seconds) => Assert.Equal(seconds, Backoff.Delay(attempt).TotalSeconds, 6);
}
