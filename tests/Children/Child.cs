using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using Rpal.Linux;

namespace Rpal.Children;

/// <summary>
/// A process that a test starts, and all that it starts in its turn, also what outlives it: they have a mark in their environment. All are
/// killed when the child is disposed.
/// </summary>
/// <remarks>PR_SET_PDEATHSIG would not do: it strikes when the thread that forked ends, and here that is one of the pool.</remarks>
internal sealed class Child : IDisposable
{
    private const string MarkVariable = "RPAL_TEST_CHILD";
    private static readonly TimeSpan s_killLimit = TimeSpan.FromSeconds(10);
    private static readonly ConcurrentDictionary<Child, bool> s_running = [];
    private static int s_count;

    /// <summary>A test run that is broken off leaves nobody behind either.</summary>
    static Child() => AppDomain.CurrentDomain.ProcessExit += (_, _) => KillRunning();

    private readonly string _mark =
        $"{MarkVariable}={Environment.ProcessId}.{Stopwatch.GetTimestamp()}.{Interlocked.Increment(ref s_count)}.";

    private Child(ProcessStartInfo start, ulong blocked = 0)
    {
        start.Environment[MarkVariable] = _mark[(MarkVariable.Length + 1)..];
        Process = SignalStart.Start(start, blocked);
        s_running[this] = true;
    }

    public Process Process { get; }

    /// <summary>Starts a child. Its signals are all default, and none is blocked but <paramref name="blocked"/>: bit n-1 for signal
    /// n.</summary>
    public static Child Start(ProcessStartInfo start, ulong blocked = 0) => new(start, blocked);

    public static Child Start(string program, params string[] arguments) => new(new ProcessStartInfo(program, arguments));

    /// <summary>Runs a program to its end.</summary>
    /// <exception cref="TimeoutException">It has not ended in time, or somebody keeps its output open; all are killed.</exception>
    public static ChildOutput Run(TimeSpan limit, string program, params string[] arguments)
    {
        using var child = new Child(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true });
        Task<string> output = child.Process.StandardOutput.ReadToEndAsync(), error = child.Process.StandardError.ReadToEndAsync();
        child.AwaitExit(limit);
        if (!Task.WhenAll(output, error).Wait(limit))
        {
            throw new TimeoutException($"{program} has ended, and after {limit.TotalSeconds} s its output is still open.{child.Describe()}");
        }

        return new ChildOutput(child.Process.ExitCode, output.GetAwaiter().GetResult(), error.GetAwaiter().GetResult());
    }

    /// <summary>Waits for the end of the process itself; those that it started may go on.</summary>
    /// <exception cref="TimeoutException">It has not ended in time.</exception>
    public void AwaitExit(TimeSpan limit)
    {
        if (!Process.WaitForExit(limit))
        {
            throw new TimeoutException($"{Process.StartInfo.FileName} has not ended in {limit.TotalSeconds} s.{Describe()}");
        }
    }

    /// <summary>Processes with the mark that are not zombies.</summary>
    public int[] Survivors() => [.. from directory in Directory.GetDirectories("/proc")
                                    where int.TryParse(Path.GetFileName(directory), out _) && ReadOrEmpty(directory + "/environ")
                                        .Contains(_mark, StringComparison.Ordinal)
                                    select int.Parse(Path.GetFileName(directory), CultureInfo.InvariantCulture)];

    /// <summary>Kills until nobody is left: one may be starting another just now.</summary>
    /// <exception cref="TimeoutException">Somebody cannot be killed.</exception>
    public void KillAll()
    {
        int[] left;
        for (long begin = Stopwatch.GetTimestamp(); (left = Survivors()).Length > 0; Thread.Yield())
        {
            Array.ForEach(left, pid => Sys.Kill(pid, Signal.SIGKILL));
            if (Stopwatch.GetElapsedTime(begin) > s_killLimit)
            {
                throw new TimeoutException($"SIGKILL has not ended all in {s_killLimit.TotalSeconds} s.{Describe()}");
            }
        }
    }

    /// <summary>What each process and thread is doing: what a wait that is over needs to be understood.</summary>
    public string Describe()
    {
        var text = new StringBuilder();
        foreach (int pid in Survivors())
        {
            text.Append(CultureInfo.InvariantCulture, $"\nprocess {pid}: {ReadOrEmpty($"/proc/{pid}/cmdline").Replace('\0', ' ')}");
            foreach (string task in TasksOf(pid))
            {
                text.Append(CultureInfo.InvariantCulture, $"\n  {Path.GetFileName(task)} {ReadOrEmpty(task + "/comm").Trim()}: "
                    + $"{StateOf(task)}, syscall {ReadOrEmpty(task + "/syscall").Trim()}");
            }
        }

        return text.ToString();
    }

    public void Dispose()
    {
        KillAll();
        s_running.TryRemove(this, out _);
        Process.Dispose();
    }

    private static void KillRunning()
    {
        foreach (Child child in s_running.Keys)
        {
            child.KillAll();
        }
    }

    private static string[] TasksOf(int pid)
    {
        try
        {
            return Directory.GetDirectories($"/proc/{pid}/task");
        }
        catch (IOException)
        {
            return [];                                           // it has ended meanwhile
        }
    }

    /// <summary>The letter of proc_pid_stat(5).</summary>
    private static string StateOf(string task) => ReadOrEmpty(task + "/stat") is { Length: > 0 } stat
        ? stat[(stat.LastIndexOf(')') + 2)..][..1] : "gone";

    private static string ReadOrEmpty(string file)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}

/// <summary>How a program ended and what it wrote.</summary>
internal sealed record ChildOutput(int ExitCode, string Output, string Error);
