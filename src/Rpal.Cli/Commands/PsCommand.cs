using System.CommandLine;
using System.Text.Json;
using Rpal.Cli.Control;
using Rpal.Cli.Output;
using Rpal.Hosting.Control;
using Spectre.Console;

namespace Rpal.Cli.Commands;

/// <summary><c>rpal ps</c>: a running family's members and services.</summary>
internal static class PsCommand
{
    private static readonly JsonSerializerOptions s_json = new(ControlJson.Options) { WriteIndented = true, DefaultIgnoreCondition = System.Text.Json.Serialization.JsonIgnoreCondition.Never };

    public static Command Create()
    {
        Option<int?> host = HostOption.Create();
        var json = new Option<bool>("--json") { Description = "Everything as one JSON object" };
        var command = new Command("ps", "Shows a running family: its members, and its services with their receivers by state.") { host, json };
        command.SetAction(parsed => HostOption.With(parsed.GetValue(host), c =>
        {
            FamilyStatus status = c.Ask(new ControlRequest("ps")).Status ?? throw new HostException(ExitCode.Unavailable, "The host's answer has no status.");
            if (parsed.GetValue(json))
            {
                Console.Out.WriteLine(JsonSerializer.Serialize(status, s_json));
            }
            else
            {
                Show(status, Console.Out, Terminal.HasColors(isError: false));
            }
        }));
        return command;
    }

    internal static void Show(FamilyStatus status, TextWriter output, bool colors)
    {
        IAnsiConsole console = Tables.Console(output, colors);
        Table members = Tables.Create("member", "pid", "slot", "state", "up", "restarts", "memory", "threads", "cpu", "donated", "received", "own work", "last end");
        foreach (MemberStatus m in status.Members)
        {
            members.AddRow(Markup.Escape(m.Name), Text(m.Pid), Text(m.Slot), State(m.State), m.UptimeSeconds is { } s ? ExitText.Describe(TimeSpan.FromSeconds(s)) : "", Text(m.Restarts),
                m.MemoryBytes is { } bytes ? $"{bytes / 1048576.0:0.0} MiB" : "", Text(m.Threads),
                Seconds(m.Cpu?.Kernel), Timed(m.Cpu?.Donated), Timed(m.Cpu?.Received), Timed(m.Cpu?.Corrected),
                m is { ExitCode: { } code, Signal: { } signal } ? ExitText.Describe(new Hosting.MemberExit(code, signal)) : "");
        }

        string Timed(double? seconds) => status.Accounting ? Seconds(seconds) : "-";
        console.WriteLine($"host {status.HostPid}, up {ExitText.Describe(TimeSpan.FromSeconds(status.UptimeSeconds))}{(status.File is { } file ? $", {file}" : "")}, {status.SlotsFree} slots free");
        console.Write(members);
        if (!status.Accounting)
        {
            console.WriteLine("donated, received, own work: counted with rpal run --accounting");
        }

        if (status.Services.Count > 0)
        {
            Table services = Tables.Create("service", "member", "state", "ready", "foreign", "own", "dead", "waiting", "calls", "received", "lazy: syscall", "fault", "signal", "in place", "evictions");
            foreach (ServiceInfo s in status.Services)
            {
                services.AddRow(Markup.Escape(s.Name), Markup.Escape(s.Member), State(s.State), $"{s.Receivers.Ready}", $"{s.Receivers.Foreign}", $"{s.Receivers.Own}", $"{s.Receivers.Dead}",
                    $"{s.Waiting}", $"{s.Calls}", Timed(s.ReceivedSeconds), $"{s.LazyBy.SystemCalls}", $"{s.LazyBy.Faults}", $"{s.LazyBy.Signals}", $"{s.InPlaceCalls}", $"{s.Evictions}");
            }

            console.Write(services);
        }
    }

    private static string Seconds(double? seconds) => seconds is { } s ? $"{s:0.00} s" : "";

    private static string Text(int? number) => number?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "";

    private static string State(string state) => state switch
    {
        "running" or "ready" or "enabled" => $"[green]{state}[/]",
        "given up" => $"[red]{state}[/]",
        _ => $"[yellow]{Markup.Escape(state)}[/]",
    };
}
