using System.Diagnostics;
using System.Text;
using Rpal.Linux;

namespace Rpal.Cli.Tests;

/// <summary>A running rpal. Everything about it is bounded: it is killed when a test takes too long.</summary>
internal sealed class RpalProcess : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    /// <summary>From the kill of everybody who may write until the pipes' ends are read.</summary>
    private static readonly TimeSpan s_drainLimit = TimeSpan.FromSeconds(20);

    private readonly Child _child;
    private readonly TimeSpan _limit;
    private readonly Timer _killer;
    private readonly Task<byte[]> _error;
    private readonly StringBuilder _errorSoFar = new();
    private readonly MemoryStream _output = new();
    private bool _errorEnded;
    private string _killed = "";

    public RpalProcess(params string[] arguments)
        : this(null, arguments)
    {
    }

    public RpalProcess(string? workingDirectory, string[] arguments, TimeSpan? limit = null, string? runtimeFolder = null)
        : this(new ProcessStartInfo(Program, arguments), workingDirectory, limit, runtimeFolder)
    {
    }

    private RpalProcess(ProcessStartInfo start, string? workingDirectory = null, TimeSpan? limit = null, string? runtimeFolder = null,
        ulong blocked = 0)
    {
        (start.RedirectStandardInput, start.RedirectStandardOutput, start.RedirectStandardError) = (true, true, true);
        start.WorkingDirectory = workingDirectory ?? "";
        if (runtimeFolder is not null)
        {
            start.Environment["XDG_RUNTIME_DIR"] = runtimeFolder;
        }

        _limit = limit ?? Limit;
        _child = Child.Start(start, blocked);
        _killer = new Timer(_ => KillAll(), null, _limit, Timeout.InfiniteTimeSpan);
        _error = Task.Factory.StartNew(ReadError, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    private static string Program => Path.Combine(AppContext.BaseDirectory, "Rpal.Cli");

    /// <summary>One where a system call fails with EPERM, with that first argument or any.</summary>
    public static RpalProcess Denying(long number, int? firstArgument, params string[] arguments) =>
        new(new ProcessStartInfo(RunningFamily.Program("Rpal.TestMember"),
            ["deny", $"{number}", firstArgument is { } a ? $"{a}" : "-", Program, .. arguments]));

    /// <summary>One that a shell starts, after words of the shell: traps, limits.</summary>
    public static RpalProcess AfterShell(string words, params string[] arguments) =>
        new(new ProcessStartInfo("/bin/sh", ["-c", $"{words}; exec \"$0\" \"$@\"", Program, .. arguments]));

    /// <summary>One that starts with signals blocked: bit n-1 for signal n.</summary>
    public static RpalProcess Blocking(ulong signals, params string[] arguments) =>
        new(new ProcessStartInfo(Program, arguments), blocked: signals);

    /// <summary>What it wrote and how it ended.</summary>
    public sealed record Result(int ExitCode, byte[] OutputBytes, string Error)
    {
        public string Output => Encoding.UTF8.GetString(OutputBytes);

        public string[] OutputLines => Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);

        public string[] ErrorLines => Error.Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    public static Result Run(params string[] arguments)
    {
        using var rpal = new RpalProcess(arguments);
        return rpal.End();
    }

    /// <summary>For what takes longer than most: killed after <paramref name="limit"/>.</summary>
    public static Result Run(TimeSpan limit, params string[] arguments)
    {
        using var rpal = new RpalProcess(null, arguments, limit);
        return rpal.End();
    }

    /// <summary>Returns as soon as standard output contains the text.</summary>
    public void AwaitOutput(string text)
    {
        byte[] buffer = new byte[4096];
        while (!Encoding.UTF8.GetString(_output.GetBuffer(), 0, (int)_output.Length).Contains(text, StringComparison.Ordinal))
        {
            int n = _child.Process.StandardOutput.BaseStream.Read(buffer);
            if (n == 0)
            {
                Assert.Fail($"standard output ended without '{text}'; standard error: {Encoding.UTF8.GetString(ErrorAtEnd())}{_killed}");
            }

            _output.Write(buffer, 0, n);
        }
    }

    /// <summary>Returns as soon as standard error contains the text.</summary>
    public void AwaitError(string text)
    {
        lock (_errorSoFar)
        {
            while (!_errorSoFar.ToString().Contains(text, StringComparison.Ordinal))
            {
                Assert.False(_errorEnded, $"standard error ended without '{text}': {_errorSoFar}{_killed}");
                Monitor.Wait(_errorSoFar, _limit);
            }
        }
    }

    /// <summary>The first whole line of standard error that contains the text.</summary>
    public string AwaitErrorLine(string text)
    {
        lock (_errorSoFar)
        {
            while (true)
            {
                string[] whole = _errorSoFar.ToString().Split('\n')[..^1];
                if (whole.FirstOrDefault(l => l.Contains(text, StringComparison.Ordinal)) is { } line)
                {
                    return line;
                }

                Assert.False(_errorEnded, $"standard error ended without '{text}': {_errorSoFar}{_killed}");
                Monitor.Wait(_errorSoFar, _limit);
            }
        }
    }

    public int Pid => _child.Process.Id;

    public void Send(int signal) => Assert.Equal(0, Sys.Kill(Pid, signal));

    /// <summary>Nobody reads standard output any more.</summary>
    public void CloseOutput() => _child.Process.StandardOutput.Dispose();

    public Result End(bool readOutput = true)
    {
        if (readOutput)
        {
            _child.Process.StandardOutput.BaseStream.CopyTo(_output);        // ends when all writers have: the killer sees to it
        }

        byte[] error = ErrorAtEnd();
        _child.AwaitExit(_limit);
        Assert.True(_killed.Length == 0, $"{_killed}\nIt wrote: {Encoding.UTF8.GetString(error)}");
        return new Result(_child.Process.ExitCode, _output.ToArray(), Encoding.UTF8.GetString(error));
    }

    public void Dispose()
    {
        using (var done = new ManualResetEvent(initialState: false))
        {
            Assert.True(!_killer.Dispose(done) || done.WaitOne(s_drainLimit), "the kill of a rpal that took too long does not end");
        }

        _child.Dispose();
    }

    /// <summary>Everybody: members hold no output of rpal's, but its keeper does until the last of them has ended.</summary>
    private void KillAll()
    {
        _killed = $"\nNot over after {_limit.TotalSeconds} s, and killed:{_child.Describe()}";
        _child.KillAll();
    }

    private byte[] ErrorAtEnd()
    {
        Assert.True(_error.Wait(_limit + s_drainLimit), $"standard error is still open{_killed}");
        return _error.GetAwaiter().GetResult();
    }

    private byte[] ReadError()
    {
        using var all = new MemoryStream();
        byte[] buffer = new byte[4096];
        int n;
        while ((n = _child.Process.StandardError.BaseStream.Read(buffer)) > 0)
        {
            all.Write(buffer, 0, n);
            lock (_errorSoFar)
            {
                _errorSoFar.Append(Encoding.UTF8.GetString(buffer, 0, n));
                Monitor.PulseAll(_errorSoFar);
            }
        }

        lock (_errorSoFar)
        {
            _errorEnded = true;
            Monitor.PulseAll(_errorSoFar);
        }

        return all.ToArray();
    }
}
