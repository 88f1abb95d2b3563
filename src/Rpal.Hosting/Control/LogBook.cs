using System.Threading.Channels;

namespace Rpal.Hosting.Control;

/// <summary>One line that a member wrote.</summary>
internal sealed record LogLine(DateTime Utc, string Member, bool IsError, byte[] Text);

/// <summary>The last lines of every member, for <c>rpal logs</c>. Bounded, and never waits for a reader.</summary>
internal sealed class LogBook
{
    /// <summary>Kept per member, the text and what keeping a line costs.</summary>
    public const int MemberBytesLimit = 1 << 20;

    /// <summary>Lines that a follower may be behind before it is dropped.</summary>
    public const int FollowerLinesLimit = 4096;

    private const int LineOverheadBytes = 96;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, (Queue<LogLine> Lines, int Bytes)> _members = [];
    private readonly List<(Channel<LogLine> Lines, HashSet<string>? Members)> _followers = [];

    public void Add(string member, bool isError, ReadOnlySpan<byte> text)
    {
        var line = new LogLine(DateTime.UtcNow, member, isError, text.ToArray());
        lock (_lock)
        {
            (Queue<LogLine> lines, int bytes) = _members.TryGetValue(member, out var kept) ? kept : (new Queue<LogLine>(), 0);
            lines.Enqueue(line);
            bytes += Cost(line);
            while (bytes > MemberBytesLimit)
            {
                bytes -= Cost(lines.Dequeue());
            }

            _members[member] = (lines, bytes);
            for (int i = _followers.Count - 1; i >= 0; i--)
            {
                if (_followers[i].Members?.Contains(member) != false && !_followers[i].Lines.Writer.TryWrite(line))
                {
                    _followers[i].Lines.Writer.TryComplete(new FollowerTooSlowException());
                    _followers.RemoveAt(i);
                }
            }
        }
    }

    /// <summary>The last lines in the order in which they came, and with <paramref name="follow"/> those to come.</summary>
    /// <param name="members">Whose; null: all.</param>
    /// <param name="tail">At most so many.</param>
    /// <param name="follow">Whether to follow; give the reader to <see cref="Leave"/> at the end.</param>
    public (List<LogLine> Last, ChannelReader<LogLine>? Next) Read(HashSet<string>? members, int tail, bool follow)
    {
        lock (_lock)
        {
            List<LogLine> all = [.. _members.Where(m => members?.Contains(m.Key) != false).SelectMany(m => m.Value.Lines).OrderBy(l => l.Utc)];
            if (!follow)
            {
                return (Last(all), null);
            }

            var channel = Channel.CreateBounded<LogLine>(FollowerLinesLimit);
            _followers.Add((channel, members));
            return (Last(all), channel.Reader);
        }

        List<LogLine> Last(List<LogLine> all) => all.Count > tail ? all[^tail..] : all;
    }

    public void Leave(ChannelReader<LogLine> reader)
    {
        lock (_lock)
        {
            _followers.RemoveAll(f => f.Lines.Reader == reader);
        }
    }

    /// <summary>The family is over: followers come to their end.</summary>
    public void Close()
    {
        lock (_lock)
        {
            foreach ((Channel<LogLine> lines, _) in _followers)
            {
                lines.Writer.TryComplete();
            }

            _followers.Clear();
        }
    }

    private static int Cost(LogLine line) => line.Text.Length + LineOverheadBytes;
}

/// <summary>Ends a follower's lines: it read too slowly.</summary>
internal sealed class FollowerTooSlowException : Exception;
