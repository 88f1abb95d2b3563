using Rpal.Linux;

namespace Rpal.Hosting;

/// <summary>A pipe for a member's output: the write end goes to the member, the read end to the pump.</summary>
internal sealed class OutputPipe : IDisposable
{
    private int _readEnd;

    private OutputPipe(int readEnd, int writeEnd) => (_readEnd, WriteEnd) = (readEnd, writeEnd);

    public int WriteEnd { get; private set; }

    public static OutputPipe Open()
    {
        int r = Sys.Pipe2(out int readEnd, out int writeEnd, OpenFlags.CloseOnExec);
        return r < 0 ? throw new MemberStartException(125, $"pipe2: {ErrnoText.Describe(r)}.") : new OutputPipe(AboveStandard(readEnd), AboveStandard(writeEnd));
    }

    /// <summary>A host that was started without standard descriptors gets 0 to 2 for its own: a member's would be put over them.</summary>
    public static int AboveStandard(int fd)
    {
        const int firstOther = 3;
        if (fd is < 0 or >= firstOther)
        {
            return fd;
        }

        int copy = Sys.DuplicateFrom(fd, firstOther);
        _ = Sys.Close(fd);
        return copy >= 0 ? copy : throw new MemberStartException(125, $"fcntl: {ErrnoText.Describe(copy)}.");
    }

    public int ReadEnd => _readEnd;

    public int TakeReadEnd()
    {
        int fd = _readEnd;
        _readEnd = -1;
        return fd;
    }

    /// <summary>The member has its copy.</summary>
    public void CloseWriteEnd()
    {
        if (WriteEnd >= 0)
        {
            _ = Sys.Close(WriteEnd);
            WriteEnd = -1;
        }
    }

    public void Dispose()
    {
        CloseWriteEnd();
        if (_readEnd >= 0)
        {
            _ = Sys.Close(_readEnd);
            _readEnd = -1;
        }
    }
}

/// <summary>Reads a member's two output pipes and hands over whole lines. Ends at end of file, or soon after the member's end when a
/// child that outlives it keeps the pipes open.</summary>
internal sealed unsafe class OutputPump(int output, int error, Task<MemberExit> exit, OutputPump.LineHandler handler, Action<string> notice)
{
    /// <summary>After the member's end: this long without a byte, and the rest belongs to nobody.</summary>
    private const int QuietMs = 200;

    /// <summary>How often the member's end is looked at while nothing comes.</summary>
    private const int PollMs = 50;

    /// <summary>After the member's end: so long and so much at most, when somebody else never stops writing. A pipe holds no more (pipe(7)).</summary>
    private const int LingerMs = 2000, LingerBytes = 1 << 20;

    public delegate void LineHandler(bool isError, ReadOnlySpan<byte> line);

    private readonly Lock _lock = new();
    private readonly int[] _ends = [output, error];
    private readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Both descriptors are its own from here on, also when it throws.</summary>
    public Task Start(string name)
    {
        try
        {
            GuardedThread.Start($"output {name}", Run, notice, () =>
            {
                CloseEnds();
                _done.SetResult();
            });
        }
        catch
        {
            CloseEnds();
            throw;
        }

        return _done.Task;
    }

    private void CloseEnds()
    {
        CloseEnd(0);
        CloseEnd(1);
    }

    /// <summary>A copy of one of its descriptors for a keeper; of one that nobody writes to any more, something that is at its end
    /// too.</summary>
    /// <param name="which">0 standard output, 1 standard error.</param>
    /// <returns>The copy, or -errno.</returns>
    public int Copy(int which)
    {
        lock (_lock)
        {
            return _ends[which] >= 0 ? Sys.DuplicateFrom(_ends[which], 0)
                : Sys.Open("/dev/null", OpenFlags.ReadOnly | OpenFlags.CloseOnExec);
        }
    }

    private void CloseEnd(int which)
    {
        lock (_lock)
        {
            _ = _ends[which] >= 0 ? Sys.Close(_ends[which]) : 0;
            _ends[which] = -1;
        }
    }

    private void Run()
    {
        var lines = new[] { new LineBuffer(false, handler), new LineBuffer(true, handler) };
        Span<byte> chunk = new byte[65536];
        PollFd* fds = stackalloc PollFd[2];
        fds[0] = new() { Fd = _ends[0], Events = PollEvents.In };
        fds[1] = new() { Fd = _ends[1], Events = PollEvents.In };
        int open = 2, quiet = 0;
        long endedAt = 0, after = 0;
        while (open > 0 && quiet < QuietMs && after < 2 * LingerBytes)
        {
            int ready = Sys.Poll(fds, 2, PollMs);
            if (exit.IsCompleted)
            {
                endedAt = endedAt == 0 ? Environment.TickCount64 : endedAt;
                quiet = ready == 0 ? quiet + PollMs : Environment.TickCount64 - endedAt < LingerMs ? 0 : quiet + 1;
            }

            for (int i = 0; i < 2 && ready > 0; i++)
            {
                if (fds[i].Returned == 0)
                {
                    continue;
                }

                fixed (byte* p = chunk)
                {
                    nint n = Sys.Read(fds[i].Fd, p, (nuint)chunk.Length);
                    if (n > 0)
                    {
                        after += endedAt != 0 ? n : 0;
                        lines[i].Add(chunk[..(int)n]);
                    }
                    else if (n != -(int)Errno.EINTR)
                    {
                        CloseEnd(i);
                        fds[i].Fd = -1;
                        fds[i].Returned = 0;
                        open--;
                    }
                }
            }
        }

        for (int i = 0; i < 2; i++)
        {
            lines[i].Flush();
        }

        CloseEnds();

        _done.SetResult();
    }

    internal sealed class LineBuffer(bool isError, LineHandler handler)
    {
        private readonly byte[] _rest = new byte[FamilyHost.LineBytesLimit];
        private int _length;
        private bool _cut;

        public void Add(ReadOnlySpan<byte> bytes)
        {
            while (!bytes.IsEmpty)
            {
                int end = bytes.IndexOf((byte)'\n');
                ReadOnlySpan<byte> part = end < 0 ? bytes : bytes[..end];
                part = part[..Math.Min(part.Length, _rest.Length - _length)];
                part.CopyTo(_rest.AsSpan(_length));
                _length += part.Length;
                bytes = bytes[part.Length..];
                bool complete = !bytes.IsEmpty && bytes[0] == '\n';
                if (complete || _length == _rest.Length)
                {
                    if (_length > 0 || !_cut)                    // a line end right after a full part adds no empty line
                    {
                        handler(isError, _rest.AsSpan(0, _length));
                    }

                    _cut = !complete;
                    _length = 0;
                    bytes = complete ? bytes[1..] : bytes;
                }
            }
        }

        public void Flush()
        {
            if (_length > 0)
            {
                handler(isError, _rest.AsSpan(0, _length));
                _length = 0;
            }
        }
    }
}
