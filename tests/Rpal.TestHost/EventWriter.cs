using System.Diagnostics;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Rpal.Hosting;

namespace Rpal.TestHost;

/// <summary>One JSON object per line: what <see cref="FamilyHost"/> tells, and what this process holds before and after.</summary>
internal sealed class EventWriter(Stream target) : IFamilyObserver
{
    /// <summary>How long threads and descriptors of ended members may take to go away.</summary>
    private static readonly TimeSpan SettleLimit = TimeSpan.FromSeconds(5);

    /// <summary>Threads that the loader makes, one or more per member. They must be gone with it.</summary>
    private static readonly string[] LoaderThreads = ["exit ", "broker ", "output "];

    /// <summary>A thread that looks whether a member executes another program, and then gives its slot back.</summary>
    private const string ExecThread = "exec ";


    private static readonly JsonSerializerOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private readonly Lock _lock = new();

    public void Started(string member, int processId, long slotAddress) => Write(new { Event = "started", Member = member, Pid = processId, Slot = slotAddress });

    public void Line(string member, bool isError, ReadOnlySpan<byte> line) => Write(new { Event = "line", Member = member, IsError = isError, Text = Encoding.UTF8.GetString(line) });

    public void Ended(string member, MemberExit exit, TimeSpan ran) => Write(new { Event = "ended", Member = member, exit.ExitCode, exit.Signal });

    public void Notice(string member, string text) => Write(new { Event = "notice", Member = member, Text = text });

    public void Ready(string member, TimeSpan after) => Write(new { Event = "ready", Member = member });

    public void Restarting(string member, TimeSpan delay, int attempt, string why) => Write(new { Event = "restarting", Member = member, Text = why, Attempt = attempt, DelaySeconds = delay.TotalSeconds });

    public void GivenUp(string member, string why) => Write(new { Event = "givenUp", Member = member, Text = why });

    public void Result(int exitCode) => Write(new { Event = "result", ExitCode = exitCode });

    public void Error(int exitCode, string message) => Write(new { Event = "error", ExitCode = exitCode, Text = message });

    public void Resources(string when) => Write(new { Event = when, Descriptors = Descriptors(), Threads = Threads(), Children = Children(), Maps = File.ReadAllLines("/proc/self/maps"), ResidentKib = ResidentKib() });

    /// <summary>
    /// The same with some members running, once all slots but theirs are free again: the thread that awaits a member's end also gives its slot back.
    /// And once there are no more descriptors than <paramref name="mostDescriptors"/>: the runtime has a pipe for each thread that starts or ends just then.
    /// After the limit as it is: then the test finds what is left in the list.
    /// </summary>
    public void Quiet(string when, int running, int mostDescriptors)
    {
        long begin = Stopwatch.GetTimestamp();
        while ((Threads().Count(t => LoaderThreads.Any(p => t.StartsWith(p, StringComparison.Ordinal))) != running * LoaderThreads.Length
            || Threads().Any(IsExec) || Descriptors().Length > mostDescriptors)
            && Stopwatch.GetElapsedTime(begin) < SettleLimit)
        {
            Thread.Yield();
        }

        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        Resources(when);
    }

    private static long ResidentKib() => long.Parse(File.ReadLines("/proc/self/status").First(l => l.StartsWith("VmRSS:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1]);

    /// <summary>The same once the members' threads are gone, or after the limit: then the test finds them in the list.</summary>
    public void Settled(string when)
    {
        long begin = Stopwatch.GetTimestamp();
        while (Threads().Any(t => IsExec(t) || LoaderThreads.Any(p => t.StartsWith(p, StringComparison.Ordinal)))
            && Stopwatch.GetElapsedTime(begin) < SettleLimit)
        {
            Thread.Yield();
        }

        Resources(when);
    }

    private static bool IsExec(string thread) => thread.StartsWith(ExecThread, StringComparison.Ordinal);

    private static string[] Descriptors() => [.. Directory.GetFileSystemEntries("/proc/self/fd")
        .Select(f => new FileInfo(f).LinkTarget)
        .OfType<string>()
        .Where(t => t.StartsWith("pipe:", StringComparison.Ordinal) || t.Contains("seccomp", StringComparison.Ordinal) || t.Contains("pidfd", StringComparison.Ordinal) || t.StartsWith("/dev/null", StringComparison.Ordinal))
        .Order(StringComparer.Ordinal)];

    private static string[] Threads() => [.. Directory.GetDirectories("/proc/self/task").Select(NameOf).OfType<string>()];

    private static string? NameOf(string task)
    {
        try
        {
            return File.ReadAllText(task + "/comm").TrimEnd();
        }
        catch (IOException)
        {
            return null;                                         // ended meanwhile
        }
    }

    private static string[] Children() => [.. Directory.GetDirectories("/proc/self/task").Select(t =>
    {
        try
        {
            return File.ReadAllText(t + "/children").Trim();
        }
        catch (IOException)
        {
            return "";
        }
    }).Where(c => c.Length > 0)];

    private void Write(object value)
    {
        byte[] line = [.. JsonSerializer.SerializeToUtf8Bytes(value, Json), (byte)'\n'];
        lock (_lock)
        {
            target.Write(line);
            target.Flush();
        }
    }
}
