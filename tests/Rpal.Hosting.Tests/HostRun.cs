using System.Diagnostics;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Rpal.Hosting.Tests;

/// <summary>What the host told, one JSON line.</summary>
internal sealed record HostEvent(
    string Event, string? Member, int Pid, long Slot, bool IsError, string? Text, int ExitCode, int Signal, string[]? Descriptors, string[]? Threads, string[]? Children, string[]? Maps,
    int Attempt, double DelaySeconds, long ResidentKib);

/// <summary>One member, as family.json has it.</summary>
internal sealed record MemberFile(string Name, string Command, params string[] Arguments)
{
    public Dictionary<string, string?> Environment { get; init; } = [];

    public string? WorkingDirectory { get; init; }

    public string? Restart { get; init; }

    public int? RestartLimit { get; init; }

    public string[]? DependsOn { get; init; }

    public object? Ready { get; init; }

    public double? ReadyTimeout { get; init; }

    public double? StopGrace { get; init; }
}

/// <summary>A host process that runs one family. What is left of it can be found: see <see cref="Child"/>.</summary>
internal sealed class HostRun : IDisposable
{
    /// <summary>Bounds a hang. Nothing here takes that long, even when others use the CPUs.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(90);

    private static readonly JsonSerializerOptions s_json = new() { PropertyNamingPolicy = JsonNamingPolicy.CamelCase, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull };
    private readonly List<HostEvent> _events = [];
    private readonly Child _child;
    private readonly Task _reader;
    private readonly Task<string> _errors;
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <param name="prepare">Changes how the host itself is started.</param>
    /// <param name="members">Its family.</param>
    public HostRun(Action<ProcessStartInfo>? prepare, params MemberFile[] members)
    {
        Folder = Directory.CreateTempSubdirectory("rpal-host-").FullName;
        string family = Path.Combine(Folder, "family.json");
        File.WriteAllText(family, JsonSerializer.Serialize(new { members }, s_json));
        ProcessStartInfo start = new("dotnet", [Programs.Host, family]) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        prepare?.Invoke(start);
        _child = Child.Start(start);
        _errors = _child.Process.StandardError.ReadToEndAsync();
        _reader = ReadAsync();
    }

    public string Folder { get; }

    public int Pid => _child.Process.Id;

    /// <summary>Of the host, once it has ended.</summary>
    public int ExitCode => _child.Process.ExitCode;

    /// <summary>What the host said when it refused a member, or null.</summary>
    public string? Error => All().FirstOrDefault(e => e.Event == "error")?.Text;

    /// <summary>Runs a family to its end.</summary>
    public static async Task<HostRun> ToEndAsync(params MemberFile[] members)
    {
        var run = new HostRun(null, members);
        await run.EndAsync();
        return run;
    }

    public HostEvent Ended(string member) => All().Single(e => e.Event == "ended" && e.Member == member);

    public HostEvent Started(string member) => All().Single(e => e.Event == "started" && e.Member == member);

    public HostEvent Resources(string when) => All().Single(e => e.Event == when);

    public string[] Lines(string member, bool isError = false) => [.. All().Where(e => e.Event == "line" && e.Member == member && e.IsError == isError).Select(e => e.Text!)];

    /// <summary>What the host told its operator about a member.</summary>
    public string[] Notices(string member) => [.. All().Where(e => e.Event == "notice" && e.Member == member).Select(e => e.Text!)];

    public Task LineAsync(string member, string text) => UntilAsync(e => e.Event == "line" && e.Member == member && e.Text == text);

    public Task EndedAsync(string member) => UntilAsync(e => e.Event == "ended" && e.Member == member);

    /// <summary>Waits for an event, past or to come.</summary>
    public async Task UntilAsync(Func<HostEvent, bool> wanted)
    {
        using var limit = new CancellationTokenSource(Limit);
        while (true)
        {
            Task changed;
            lock (_events)
            {
                if (_events.Any(wanted))
                {
                    return;
                }

                changed = _changed.Task;
            }

            if (_reader.IsCompleted || limit.IsCancellationRequested)
            {
                Assert.Fail($"The host did not say so:\n{Transcript()}{_child.Describe()}");
            }

            await Task.WhenAny(changed, _reader, Task.Delay(Timeout.Infinite, limit.Token));
        }
    }

    /// <summary>Waits for the host to end, and that it left nobody behind.</summary>
    public async Task EndAsync(bool leavesNobody = true)
    {
        using var limit = new CancellationTokenSource(Limit);
        try
        {
            await _child.Process.WaitForExitAsync(limit.Token);
            await _reader.WaitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            Assert.Fail($"The host did not end in {Limit.TotalSeconds} s:\n{Transcript()}{_child.Describe()}");
        }

        if (leavesNobody)
        {
            await NobodyLeftAsync();
        }
    }

    /// <summary>Stops the family, and waits for the host's end.</summary>
    public Task StopAsync()
    {
        Command("stop");
        return EndAsync();
    }

    /// <summary>That every process of this run is gone, soon.</summary>
    public async Task NobodyLeftAsync()
    {
        long begin = Stopwatch.GetTimestamp();
        int[] left;
        while ((left = Survivors()).Length > 0)
        {
            Assert.True(Stopwatch.GetElapsedTime(begin) < TimeSpan.FromSeconds(10), $"still running: {string.Join(' ', left)}\n{Transcript()}{_child.Describe()}");
            await Task.Yield();
        }
    }

    /// <summary>Processes of this run that are not zombies.</summary>
    public int[] Survivors() => _child.Survivors();

    public void Signal(int signal) => Command($"signal {signal}");

    /// <summary>One line for Rpal.TestHost, see there.</summary>
    public void Command(string line)
    {
        _child.Process.StandardInput.WriteLine(line);
        _child.Process.StandardInput.Flush();
    }

    /// <summary>Waits until an event of that name has come so often for that member.</summary>
    public Task TimesAsync(string name, string member, int times) => UntilAsync(_ => Events(name, member).Length >= times);

    public HostEvent[] Events(string name, string member) => [.. All().Where(e => e.Event == name && e.Member == member)];

    /// <summary>Names and members of some kinds of events, in their order: "started a".</summary>
    public string[] Order(params string[] names) => [.. All().Where(e => names.Contains(e.Event)).Select(e => $"{e.Event} {e.Member}")];

    /// <summary>SIGKILL to the host alone.</summary>
    public void KillHost() => _child.Process.Kill();

    public string Transcript()
    {
        string errors = _errors.IsCompletedSuccessfully ? _errors.Result : "";
        return string.Join('\n', All().Select(e => e.Event is "before" or "after" ? e.Event : $"{e.Event} {e.Member} {e.Text} {e.ExitCode} {e.Signal}")) + "\n" + errors;
    }

    public void Dispose()
    {
        _child.Dispose();
        Directory.Delete(Folder, recursive: true);
    }

    private HostEvent[] All()
    {
        lock (_events)
        {
            return [.. _events];
        }
    }

    private async Task ReadAsync()
    {
        while (await _child.Process.StandardOutput.ReadLineAsync() is { } line)
        {
            HostEvent happened = JsonSerializer.Deserialize<HostEvent>(line)!;
            lock (_events)
            {
                _events.Add(happened);
                _changed.SetResult();
                _changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }
        }
    }
}
