using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Rpal.Linux;
using Xunit.Sdk;

namespace Rpal.Tests.Families;

/// <summary>One member of a test's family.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Program">A program beside this test assembly.</param>
/// <param name="Arguments">Its arguments.</param>
internal sealed record MemberSpec(string Name, string Program, params string[] Arguments)
{
    public Dictionary<string, string> Environment { get; init; } = [];

    /// <summary>Its restart policy, as family files have it.</summary>
    public string Restart { get; init; } = "no";

    /// <summary>For one member and all: the family file says "accounting".</summary>
    public bool Accounting { get; init; }

    /// <summary>A scenario of Rpal.TestMember.</summary>
    public static MemberSpec Scenario(string name, params string[] arguments) => new(name, "Rpal.TestMember", arguments);

    /// <summary>The standard service of Rpal.TestMember under a name.</summary>
    public static MemberSpec Serves(string name, int receivers = 2) => Scenario(name, "serve", name, $"{receivers}");
}

/// <summary>How a member ended.</summary>
internal readonly record struct Exit(int Code, int Signal);

/// <summary>
/// A family in a process of its own, started for one test. A run that does not end in time is killed, and the test fails with
/// everything that was printed until then.
/// </summary>
internal sealed class FamilyRun : IDisposable
{
    private static readonly TimeSpan DefaultLimit = TimeSpan.FromSeconds(60);

    private readonly object _lock = new();
    private readonly Child _runner;
    private readonly string _file = Path.GetTempFileName();
    private readonly StringBuilder _log = new();
    private readonly List<(string Member, bool IsError, string Text)> _lines = [];
    private readonly Dictionary<string, int> _pids = [];
    private readonly Dictionary<string, Exit> _exits = [];
    private readonly long _deadline;
    private int _openStreams = 2;
    private bool _disposed;

    private FamilyRun(MemberSpec[] members, TimeSpan limit, string? confinement = null, bool traced = false)
    {
        _deadline = Environment.TickCount64 + (long)limit.TotalMilliseconds;
        File.WriteAllBytes(_file, JsonSerializer.SerializeToUtf8Bytes(new
        {
            traceMembers = traced,
            accounting = members.Any(m => m.Accounting),
            members = members.Select(m => new { name = m.Name, command = InThisFolder(m.Program), arguments = m.Arguments, environment = m.Environment, restart = m.Restart, workingDirectory = AppContext.BaseDirectory }),
        }));
        ProcessStartInfo start = new(InThisFolder("Rpal.FamilyRunner"), [_file]) { RedirectStandardOutput = true, RedirectStandardError = true };
        if (confinement is not null)
        {
            start.Environment["RPAL_TEST_CONFINED"] = confinement;
        }

        _runner = Child.Start(start);
        _runner.Process.OutputDataReceived += (_, e) => Take(e.Data, isError: false);
        _runner.Process.ErrorDataReceived += (_, e) => Take(e.Data, isError: true);
        _runner.Process.BeginOutputReadLine();
        _runner.Process.BeginErrorReadLine();
    }

    public static string InThisFolder(string program) => Path.Combine(AppContext.BaseDirectory, program);

    public static FamilyRun Start(params MemberSpec[] members) => new(members, DefaultLimit);

    /// <summary>With members that are traced all their life.</summary>
    public static FamilyRun StartTraced(params MemberSpec[] members) => new(members, DefaultLimit, traced: true);

    public static FamilyRun Start(TimeSpan limit, params MemberSpec[] members) => new(members, limit);

    /// <summary>Runs a family to its end; every member must end with exit code 0.</summary>
    public static FamilyRun Succeeds(params MemberSpec[] members) => Succeeds(DefaultLimit, members);

    public static FamilyRun Succeeds(TimeSpan limit, params MemberSpec[] members) => Succeeded(Start(limit, members), members);

    /// <summary>Under Docker's default seccomp profile, as far as it matters.</summary>
    public static FamilyRun SucceedsInContainer(params MemberSpec[] members) => Succeeded(new FamilyRun(members, DefaultLimit, "docker"), members);

    private static FamilyRun Succeeded(FamilyRun run, MemberSpec[] members)
    {
        using (run)
        {
            run.WaitForEnd(failsWith: [.. members.Select(m => m.Name)]);
            foreach (MemberSpec m in members)
            {
                run.Expect(run.ExitOf(m.Name) == new Exit(0, 0), $"{m.Name} ended with {run.ExitOf(m.Name)}");
            }
        }

        return run;
    }

    /// <summary>A caller's scenario against a standard service named work.</summary>
    public static FamilyRun CallerSucceeds(params string[] scenario) => Succeeds(MemberSpec.Serves("work"), MemberSpec.Scenario("caller", scenario));

    public Exit ExitOf(string member)
    {
        lock (_lock)
        {
            return _exits.TryGetValue(member, out Exit exit) ? exit : throw new XunitException($"{member} has not ended.\n{_log}");
        }
    }

    public IReadOnlyList<string> Lines(string member)
    {
        lock (_lock)
        {
            return [.. _lines.Where(l => l.Member == member && !l.IsError).Select(l => l.Text)];
        }
    }

    public string Errors(string member)
    {
        lock (_lock)
        {
            return string.Join('\n', _lines.Where(l => l.Member == member && l.IsError).Select(l => l.Text));
        }
    }

    public int Pid(string member) => Wait($"{member} to start", () => _pids.TryGetValue(member, out int pid) ? pid : 0);

    /// <summary>The process that runs the family.</summary>
    public int HostPid => _runner.Process.Id;

    public void WaitForLine(string member, string text) =>
        Wait($"{member} to print '{text}'", () => _lines.Exists(l => l.Member == member && l.Text.Contains(text, StringComparison.Ordinal)) ? 1 : 0);

    /// <summary>Waits until a member runs in another process than this one.</summary>
    public void WaitForRestart(string member, int pid) => Wait($"{member} to start again", () => _pids.TryGetValue(member, out int now) && now != pid ? 1 : 0);

    public void WaitForExit(string member) => Wait($"{member} to end", () => _exits.ContainsKey(member) ? 1 : 0);

    /// <summary>Waits until all have ended; no longer than until one of <paramref name="failsWith"/> has failed.</summary>
    public void WaitForEnd(params string[] failsWith)
    {
        string failed = "";
        _ = Wait("the family's end", () => _openStreams == 0 || (failed = failsWith.FirstOrDefault(m => _exits.TryGetValue(m, out Exit e) && e.Code != 0) ?? "").Length > 0 ? 1 : 0);
        Expect(failed.Length == 0, $"{failed} failed");
    }

    public void Send(string member, int signal) => Expect(Sys.Kill(Pid(member), signal) == 0, $"kill({member}, {signal})");

    public void Expect(bool condition, string what)
    {
        if (!condition)
        {
            throw new XunitException($"{what}\n{Log}");
        }
    }

    public string Log
    {
        get
        {
            lock (_lock)
            {
                return _log.ToString();
            }
        }
    }

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, true))
        {
            return;
        }

        _runner.Dispose();
        File.Delete(_file);
    }

    private int Wait(string what, Func<int> found)
    {
        lock (_lock)
        {
            for (int value; ; Monitor.Wait(_lock, (int)Math.Max(1, _deadline - Environment.TickCount64)))
            {
                if ((value = found()) != 0)
                {
                    return value;
                }

                if (Environment.TickCount64 >= _deadline || (_openStreams == 0 && found() == 0))
                {
                    string why = _openStreams == 0 ? "The family ended" : "The time is up", doing = _runner.Describe();
                    Dispose();
                    throw new XunitException($"{why} while waiting for {what}.\n{_log}{doing}");
                }
            }
        }
    }

    private void Take(string? line, bool isError)
    {
        lock (_lock)
        {
            if (line is null)
            {
                _openStreams--;
            }
            else
            {
                Note(line, isError);
            }

            Monitor.PulseAll(_lock);
        }
    }

    private void Note(string line, bool isError)
    {
        if (isError)
        {
            _log.Append("runner: ").AppendLine(line);
            return;
        }

        using var e = JsonDocument.Parse(line);
        string member = e.RootElement.GetProperty("member").GetString()!;
        switch (e.RootElement.GetProperty("kind").GetString())
        {
            case "started":
                _pids[member] = e.RootElement.GetProperty("processId").GetInt32();
                break;
            case "line":
                string text = e.RootElement.GetProperty("text").GetString()!;
                _lines.Add((member, e.RootElement.GetProperty("isError").GetBoolean(), text));
                _log.Append(member).Append(": ").AppendLine(text);
                break;
            case "notice":
                string notice = e.RootElement.GetProperty("text").GetString()!;
                _lines.Add((member, true, notice));
                _log.Append(member).Append(" notice: ").AppendLine(notice);
                break;
            default:
                _exits[member] = new(e.RootElement.GetProperty("exitCode").GetInt32(), e.RootElement.GetProperty("signal").GetInt32());
                _log.Append(member).Append(" ended ").Append(_exits[member]).AppendLine();
                break;
        }
    }
}
