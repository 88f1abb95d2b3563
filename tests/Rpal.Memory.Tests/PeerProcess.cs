using System.Diagnostics;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Rpal.Linux;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Tests;

/// <summary>Another process, playing a role of Rpal.MemoryPeer.</summary>
internal sealed class PeerProcess : IDisposable
{
    /// <summary>For whatever a test waits for; then it fails with all that was printed.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly object _lock = new();
    private readonly StringBuilder _printed = new();
    private readonly List<string> _lines = [];
    private readonly Process _process;
    private readonly SafeFileHandle _socket;
    private int _openStreams = 2;

    /// <param name="setting">Environment variables, "NAME=value", with spaces between; "" none.</param>
    /// <param name="role">Which.</param>
    /// <param name="words">Its arguments.</param>
    /// <param name="descriptors">RLIMIT_NOFILE; 0 the usual.</param>
    private PeerProcess(string setting, string role, string[] words, int descriptors = 0)
    {
        Assert.Equal(0, Sys.SocketPair(SocketDomain.Unix, SocketType.SequencedPacket | SocketType.CloseOnExec, out int ours, out int theirs));
        _socket = new SafeFileHandle(ours, ownsHandle: true);
        int inherited = Sys.DuplicateInherited(theirs, 3);
        _ = Sys.Close(theirs);
        string program = Path.Combine(AppContext.BaseDirectory, "Rpal.MemoryPeer");
        string[] limited = descriptors == 0 ? [program] : ["sh", "-c", $"ulimit -n {descriptors}; exec \"$0\" \"$@\"", program];
        var start = new ProcessStartInfo(limited[0], [.. limited[1..], $"{inherited}", role, .. words])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (string one in setting.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            start.Environment[one[..one.IndexOf('=', StringComparison.Ordinal)]] = one[(one.IndexOf('=', StringComparison.Ordinal) + 1)..];
        }

        _process = SignalStart.Start(start);
        _ = Sys.Close(inherited);
        _process.OutputDataReceived += (_, e) => Take(e.Data);
        _process.ErrorDataReceived += (_, e) => Take(e.Data);
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    public int Pid => _process.Id;

    public bool HasExited => _process.HasExited;

    public static PeerProcess Start(string role, params string[] words) => new("", role, words);

    /// <summary>One with an environment variable, "NAME=value"; "" none.</summary>
    public static PeerProcess StartWith(string setting, string role, params string[] words) => new(setting, role, words);

    /// <summary>One that can have so many descriptors.</summary>
    public static PeerProcess StartLimited(int descriptors, string role, params string[] words) => new("", role, words, descriptors);

    /// <summary>One that kills itself the <paramref name="count"/>-th time it comes to a point.</summary>
    public static PeerProcess StartDoomed(int killPoint, int count, string role, params string[] words) => new($"{KillPoints.Variable}={killPoint}:{count}", role, words);

    /// <summary>One whose code is compiled once and for all when it is first called.</summary>
    public static PeerProcess StartUntiered(string role, params string[] words) => new("DOTNET_TieredCompilation=0", role, words);

    /// <summary>As <see cref="StartUntiered"/>, and compiling needs no mappings of its own.</summary>
    public static PeerProcess StartSteady(string role, params string[] words) =>
        new("DOTNET_TieredCompilation=0 DOTNET_EnableWriteXorExecute=0", role, words);

    /// <summary>Hands it a segment.</summary>
    /// <returns>Whether it lies at the same address there.</returns>
    public bool Send(Segment segment) => SegmentTransfer.Send(segment, _socket, Patience);

    /// <summary>The first line with that text, once it is there.</summary>
    public string WaitFor(string text)
    {
        lock (_lock)
        {
            for (long until = Environment.TickCount64 + (long)Patience.TotalMilliseconds; ; Monitor.Wait(_lock, 1000))
            {
                if (_lines.Find(l => l.Contains(text, StringComparison.Ordinal)) is { } line)
                {
                    return line;
                }

                Assert.True(Environment.TickCount64 < until && _openStreams > 0, $"'{text}' did not come. The other process printed:\n{_printed}");
            }
        }
    }

    public void Kill()
    {
        Assert.Equal(0, Sys.Kill(_process.Id, Signal.SIGKILL));
        WaitForExit(Patience);
    }

    /// <summary>Until it has ended and all that it printed is here.</summary>
    public int WaitForExit(TimeSpan limit)
    {
        Assert.True(_process.WaitForExit(limit), $"The other process did not end. It printed:\n{_printed}");
        lock (_lock)
        {
            for (long until = Environment.TickCount64 + (long)limit.TotalMilliseconds; _openStreams > 0; Monitor.Wait(_lock, 1000))
            {
                Assert.True(Environment.TickCount64 < until, $"The other process has ended, its output is open. It printed:\n{_printed}");
            }
        }

        return _process.ExitCode;
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
        }

        _ = _process.WaitForExit(Patience);
        _process.Dispose();
        _socket.Dispose();
    }

    public override string ToString()
    {
        lock (_lock)
        {
            return _printed.ToString();
        }
    }

    private void Take(string? line)
    {
        lock (_lock)
        {
            if (line is null)
            {
                _openStreams--;                                  // all that it printed is here
            }
            else
            {
                _lines.Add(line);
                _printed.AppendLine(line);
            }

            Monitor.PulseAll(_lock);
        }
    }
}
