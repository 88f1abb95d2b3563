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
        bool timed = status.Accounting;
        Table members = Tables.Create(["member", "pid", "slot", "state", "up", "restarts", "memory", "threads", "cpu", .. timed ? s_times : [], "last end"]);
        foreach (MemberStatus m in status.Members)
        {
            members.AddRow([
                Markup.Escape(m.Name), Text(m.Pid), Text(m.Slot), State(m.State), m.UptimeSeconds is { } s ? ExitText.Describe(TimeSpan.FromSeconds(s)) : "", Text(m.Restarts),
                m.MemoryBytes is { } bytes ? $"{bytes / 1048576.0:0.0} MiB" : "", Text(m.Threads), Seconds(m.Cpu?.Kernel),
                .. timed ? [Seconds(m.Cpu?.Donated), Seconds(m.Cpu?.Received), Seconds(m.Cpu?.Corrected)] : Array.Empty<string>(),
                m is { ExitCode: { } code, Signal: { } signal } ? $"{new Hosting.MemberExit(code, signal)}" : ""]);
        }

        console.WriteLine($"host {status.HostPid}, up {ExitText.Describe(TimeSpan.FromSeconds(status.UptimeSeconds))}{(status.File is { } file ? $", {file}" : "")}, {status.SlotsFree} slots free");
        console.Write(members);
        if (status.Services.Count > 0)
        {
            Table services = Tables.Create(["service", "member", "state", "receivers", "waiting", "calls", .. timed ? ["received"] : Array.Empty<string>(), "lazy: syscall/fault/signal", "in place"]);
            foreach (ServiceInfo s in status.Services)
            {
                services.AddRow([
                    Markup.Escape(s.Name), Markup.Escape(s.Member), State(s.State), Describe(s.Receivers), $"{s.Waiting}", $"{s.Calls}",
                    .. timed ? [Seconds(s.ReceivedSeconds)] : Array.Empty<string>(), $"{s.LazyBy.SystemCalls}/{s.LazyBy.Faults}/{s.LazyBy.Signals}", $"{s.InPlaceCalls}"]);
            }

            console.Write(services);
        }

        Table donated = Tables.Create(["sender", "service", "donated", "cycles"]);
        foreach ((string sender, DonatedTo d) in timed ? status.Members.SelectMany(m => m.Donations ?? [], (m, d) => (m.Name, d)) : [])
        {
            donated.AddRow([Markup.Escape(sender), Markup.Escape(d.Service ?? "(gone)"), Seconds(d.Seconds), $"{d.Cycles}"]);
        }

        if (donated.Rows.Count > 0)
        {
            console.Write(donated);
        }
    }

    private static readonly string[] s_times = ["donated", "received", "own work"];

    /// <summary>States that some receiver is in: "2 ready, 1 own".</summary>
    private static string Describe(ReceiverCounts c) => string.Join(", ",
        from state in new[] { (c.Ready, "ready"), (c.Foreign, "foreign"), (c.Own, "own"), (c.Dead, "dead"), (c.Other, "other") } where state.Item1 > 0 select $"{state.Item1} {state.Item2}");

    private static string Seconds(double? seconds) => seconds is { } s ? $"{s:0.00} s" : "";

    private static string Text(int? number) => number?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "";

    private static string State(string state) => state switch
    {
        "running" or "ready" or "enabled" => $"[green]{state}[/]",
        "given up" => $"[red]{state}[/]",
        _ => $"[yellow]{Markup.Escape(state)}[/]",
    };
}
