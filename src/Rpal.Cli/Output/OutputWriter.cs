using System.Buffers;
using Rpal.Linux;

namespace Rpal.Cli.Output;

/// <summary>Writes bytes to standard output and standard error as they are, in the order in which they came.</summary>
/// <remarks>
/// One thread writes; while it does, what comes gathers and goes out as one batch. So a quiet family's line appears at once,
/// and a loud family costs few system calls. A reader that is slower than the members slows the members down.
/// </remarks>
internal sealed class OutputWriter : IDisposable
{
    /// <summary>Whoever has more to say than this waits until it is written.</summary>
    private const int PendingBytesLimit = 256 << 10;

    private readonly object _gate = new();
    private readonly Thread _thread;
    private readonly int _output;
    private readonly int _error;
    private Batch _gathering = new();
    private Batch _writing = new();
    private bool _idle = true;
    private bool _ended;
    private bool _readerGone;

    /// <param name="output">Descriptor of standard output.</param>
    /// <param name="error">Descriptor of standard error.</param>
    public OutputWriter(int output = 1, int error = 2)
    {
        (_output, _error) = (output, error);
        _thread = new Thread(Run) { IsBackground = true, Name = "output" };
        _thread.Start();
    }

    /// <summary>Standard output or standard error cannot be written any more; what still comes is dropped. Raised once.</summary>
    public event Action? ReaderGone;

    /// <summary>Appends what <paramref name="append"/> writes.</summary>
    public void Write<T>(bool isError, T state, LineWriter<T> append)
        where T : allows ref struct
    {
        lock (_gate)
        {
            while (_gathering.Bytes.WrittenCount > PendingBytesLimit)
            {
                Monitor.Wait(_gate);
            }

            append(_gathering.Bytes, state);
            _gathering.EndRun(isError);
            if (_idle)
            {
                Monitor.PulseAll(_gate);
            }
        }
    }

    /// <summary>Returns when everything is written.</summary>
    public void Flush()
    {
        lock (_gate)
        {
            while (!_idle || _gathering.Bytes.WrittenCount > 0)
            {
                Monitor.Wait(_gate);
            }
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _ended = true;
            Monitor.PulseAll(_gate);
        }

        _thread.Join();
    }

    private void Run()
    {
        while (true)
        {
            lock (_gate)
            {
                _idle = true;
                Monitor.PulseAll(_gate);
                while (_gathering.Bytes.WrittenCount == 0)
                {
                    if (_ended)
                    {
                        return;
                    }

                    Monitor.Wait(_gate);
                }

                _idle = false;
                (_gathering, _writing) = (_writing, _gathering);
                Monitor.PulseAll(_gate);
            }

            if (!_readerGone && !WriteOut(_writing))
            {
                _readerGone = true;
                ReaderGone?.Invoke();
            }

            _writing.Clear();
        }
    }

    private bool WriteOut(Batch batch)
    {
        ReadOnlySpan<byte> rest = batch.Bytes.WrittenSpan;
        foreach ((bool isError, int length) in batch.Runs)
        {
            if (!WriteAll(isError ? _error : _output, rest[..length]))
            {
                return false;
            }

            rest = rest[length..];
        }

        return true;
    }

    private static unsafe bool WriteAll(int fd, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            nint n;
            fixed (byte* p = bytes)
            {
                n = Sys.Write(fd, p, (nuint)bytes.Length);
            }

            if (n >= 0)
            {
                bytes = bytes[(int)n..];
            }
            else if (n == -(int)Errno.EAGAIN)
            {
                PollFd writable = new() { Fd = fd, Events = PollEvents.Out };    // somebody made the terminal or the pipe non-blocking
                _ = Sys.Poll(&writable, 1, -1);
            }
            else if (n != -(int)Errno.EINTR)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Bytes in order, and which of them go where.</summary>
    private sealed class Batch
    {
        private int _attributed;

        public ArrayBufferWriter<byte> Bytes { get; } = new(64 << 10);

        public List<(bool IsError, int Length)> Runs { get; } = [];

        public void EndRun(bool isError)
        {
            int length = Bytes.WrittenCount - _attributed;
            _attributed = Bytes.WrittenCount;
            if (Runs.Count > 0 && Runs[^1].IsError == isError)
            {
                Runs[^1] = (isError, Runs[^1].Length + length);
            }
            else
            {
                Runs.Add((isError, length));
            }
        }

        public void Clear()
        {
            Bytes.ResetWrittenCount();
            Runs.Clear();
            _attributed = 0;
        }
    }
}

/// <summary>Writes one piece of output.</summary>
internal delegate void LineWriter<T>(ArrayBufferWriter<byte> into, T state)
    where T : allows ref struct;
