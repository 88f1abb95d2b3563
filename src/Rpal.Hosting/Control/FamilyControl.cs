using System.Diagnostics;
using Rpal.Hosting.Supervision;
using Rpal.Linux;
using Rpal.Machine.Accounting;

namespace Rpal.Hosting.Control;

/// <summary>What can be asked of a running family from outside. Called from connections' threads; decisions are made on the host's.</summary>
internal sealed class FamilyControl(FamilyDefinition definition, Func<FamilyDefinition>? reload, Family family, Supervisor supervisor, HostThread thread, LogBook logs)
{
    private readonly long _began = Stopwatch.GetTimestamp();

    public LogBook Logs => logs;

    public async Task<FamilyStatus> StatusAsync()
    {
        long[] memory = SlotMemory.Read();
        return await thread.AskAsync(() =>
        {
            List<ServiceInfo> services = ServiceReport.Read(family, slot =>
                supervisor.Members.FirstOrDefault(m => m.IsRunning && m.Process!.Slot == slot)?.Name);
            return new FamilyStatus(Environment.ProcessId, Stopwatch.GetElapsedTime(_began).TotalSeconds, definition.File, family.Slots.Free, TimeAccount.Enabled, [.. supervisor.Members.Select(m => Describe(m, memory))], services);
        }).ConfigureAwait(false);
    }

    /// <exception cref="KeyNotFoundException">No such member.</exception>
    public Task CheckAsync(string member) => thread.AskAsync(() => supervisor.Find(member));

    public Task StopAsync(string? member) => thread.AskAsync(() =>
    {
        if (member is null)
        {
            supervisor.Stop(Signal.SIGTERM, "rpal stop");
        }
        else
        {
            supervisor.StopOne(supervisor.Find(member), "rpal stop");
        }

        return true;
    });

    /// <exception cref="InvalidOperationException">It does not run.</exception>
    public Task SignalAsync(string member, int signal) => thread.AskAsync(() =>
    {
        SupervisedMember m = supervisor.Find(member);
        if (!m.IsRunning)
        {
            throw new InvalidOperationException($"{member} does not run: it is {Word(m)}.");
        }

        supervisor.SendOne(m, signal, "rpal kill");
        return true;
    });

    /// <summary>Replaces one member. The family file is read again, so that a new version in it takes effect.</summary>
    /// <remarks>Its program is looked at before the old one is stopped. It may be gone when it is started: then that start fails like others.</remarks>
    /// <exception cref="FormatException">The file is wrong now; nothing has changed.</exception>
    /// <exception cref="MemberStartException">The program cannot be started; nothing has changed.</exception>
    public async Task ReplaceAsync(string member, IReadOnlyList<string>? command)
    {
        FamilyDefinition? now = reload is not null ? reload() : definition.File is { } file ? FamilyDefinition.Load(file) : null;
        MemberDefinition? replacement = now?.Members.FirstOrDefault(m => m.Name == member);
        SupervisedMember m = await thread.AskAsync(() => supervisor.Find(member)).ConfigureAwait(false);
        MemberDefinition old = await thread.AskAsync(() => m.Definition).ConfigureAwait(false);
        MemberDefinition next = replacement is null ? old : replacement with { DependsOn = old.DependsOn };      // the order of starts is the family's, fixed when it began
        next = command is [var program, ..] ? next with { Command = program, Arguments = [.. command.Skip(1)] } : next;
        Member.Check(next);
        _ = await thread.AskAsync(() =>
        {
            supervisor.Replace(m, next, "rpal restart");
            return true;
        }).ConfigureAwait(false);
    }

    private static MemberStatus Describe(SupervisedMember m, long[] memory)
    {
        Member? p = m.IsRunning ? m.Process : null;
        MemberTime? time = p?.Time;
        return new MemberStatus(m.Name, Word(m), m.Restarts, p?.Pid, p?.Slot, p is null ? null : m.Uptime.TotalSeconds, p?.Slot is { } slot ? memory[slot] : null, p is null ? null : Threads(p.Pid), Cpu(time),
            time?.Donations.Select(d => new DonatedTo(d.Service, Books.ToTime(d.Cycles).TotalSeconds, d.Cycles)).ToList(),
            m.LastExit?.ExitCode, m.LastExit?.Signal, FamilyFile.Restart.First(r => r.Item2 == m.Definition.Restart).Item1, [m.Definition.Command, .. m.Definition.Arguments]);
    }

    /// <summary>A member that need not enable anything is ready as soon as it runs; "running" says what people expect.
    /// One that has executed another program runs, and is in the family no more.</summary>
    private static string Word(SupervisedMember m) => m.Phase switch
    {
        MemberPhase.Starting or MemberPhase.Ready when m.Process!.Slot is null => "another program",
        MemberPhase.Ready => m.Definition.ReadyServices.Count > 0 ? "ready" : "running",
        MemberPhase.BackingOff => "restarting",
        MemberPhase.GivenUp => "given up",
        var phase => phase.ToString().ToLowerInvariant(),
    };

    private static CpuSeconds? Cpu(MemberTime? t) =>
        t is null ? null : new CpuSeconds(t.KernelCpu.TotalSeconds, t.Donated.TotalSeconds, t.Received.TotalSeconds, t.CorrectedCpu.TotalSeconds);

    private static int? Threads(int pid)
    {
        try
        {
            return Directory.GetDirectories($"/proc/{pid}/task").Length;
        }
        catch (IOException)
        {
            return null;                                         // ended meanwhile
        }
    }
}
