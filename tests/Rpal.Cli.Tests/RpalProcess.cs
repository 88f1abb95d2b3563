using System.Diagnostics;
using System.Text;
using Rpal.Linux;

namespace Rpal.Cli.Tests;

/// <summary>A running rpal. Everything about it is bounded: it is killed when a test takes too long.</summary>
internal sealed class RpalProcess : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly Timer _killer;
    private readonly Task<byte[]> _error;
    private readonly StringBuilder _errorSoFar = new();
    private readonly MemoryStream _output = new();

    public RpalProcess(params string[] arguments)
        : this(null, arguments)
    {
    }

    public RpalProcess(string? workingDirectory, string[] arguments, TimeSpan? limit = null, string? runtimeFolder = null)
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "Rpal.Cli"), arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = workingDirectory ?? "",
        };
        if (runtimeFolder is not null)
        {
            start.Environment["XDG_RUNTIME_DIR"] = runtimeFolder;
        }

        _process = Process.Start(start)!;
        _killer = new Timer(_ => _process.Kill(), null, limit ?? Limit, Timeout.InfiniteTimeSpan);
        _error = Task.Run(ReadError);
    }

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
            int n = _process.StandardOutput.BaseStream.Read(buffer);
            if (n == 0)
            {
                Assert.Fail($"standard output ended without '{text}'; standard error: {Encoding.UTF8.GetString(_error.GetAwaiter().GetResult())}");
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
                Assert.False(_error.IsCompleted, $"standard error ended without '{text}': {_errorSoFar}");
                Monitor.Wait(_errorSoFar, Limit);
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

                Assert.False(_error.IsCompleted, $"standard error ended without '{text}': {_errorSoFar}");
                Monitor.Wait(_errorSoFar, Limit);
            }
        }
    }

    public int Pid => _process.Id;

    public void Send(int signal) => Assert.Equal(0, Sys.Kill(_process.Id, signal));

    /// <summary>Nobody reads standard output any more.</summary>
    public void CloseOutput() => _process.StandardOutput.Dispose();

    public Result End(bool readOutput = true)
    {
        if (readOutput)
        {
            _process.StandardOutput.BaseStream.CopyTo(_output);
        }

        byte[] error = _error.GetAwaiter().GetResult();
        Assert.True(_process.WaitForExit(Limit), "rpal did not end");
        return new Result(_process.ExitCode, _output.ToArray(), Encoding.UTF8.GetString(error));
    }

    public void Dispose()
    {
        _killer.Dispose();
        if (!_process.HasExited)
        {
            _process.Kill();
        }

        _process.Dispose();
    }

    private byte[] ReadError()
    {
        using var all = new MemoryStream();
        byte[] buffer = new byte[4096];
        int n;
        while ((n = _process.StandardError.BaseStream.Read(buffer)) > 0)
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
            Monitor.PulseAll(_errorSoFar);
        }

        return all.ToArray();
    }
}
