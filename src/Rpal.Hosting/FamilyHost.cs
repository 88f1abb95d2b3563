using Rpal.Hosting.Control;
using Rpal.Hosting.Keeping;
using Rpal.Hosting.Supervision;
using Rpal.Linux;
using Rpal.Machine.Platform;

namespace Rpal.Hosting;

/// <summary>Loads a family into this process's address space and runs it to its end. One family per process.</summary>
public sealed class FamilyHost : IDisposable
{
    /// <summary>A line longer than this is handed over in parts.</summary>
    public const int LineBytesLimit = 8192;

    /// <summary>Who wants something when the caller does not say.</summary>
    private const string OwnProgram = "the host's program";

    private static int s_started;

    private readonly FamilyDefinition _definition;
    private readonly FamilyHostOptions _options;
    private readonly SerialObserver _observer;
    private readonly HostThread _thread;
    private readonly LogBook _logs = new();
    private readonly bool _inject;
    private readonly List<Action<Supervisor>> _early = [];
    private Supervisor? _supervisor;
    private KeeperLink? _keeper;
    private ControlServer? _control;

    /// <param name="definition">The members.</param>
    /// <param name="observer">Told what happens.</param>
    /// <param name="options">Null for the defaults.</param>
    public FamilyHost(FamilyDefinition definition, IFamilyObserver observer, FamilyHostOptions? options = null)
        : this(definition, observer, inject: false, options)
    {
    }

    internal FamilyHost(FamilyDefinition definition, IFamilyObserver observer, bool inject, FamilyHostOptions? options = null)
    {
        (_definition, _observer, _inject, _options) = (definition, new SerialObserver(observer), inject, options ?? new FamilyHostOptions());
        _thread = new HostThread(text => _observer.Notice("rpal", text));
    }

    /// <summary>Starts every member, in the order of their dependencies, and waits until all have ended for good.</summary>
    /// <exception cref="MemberStartException">A member cannot be started; those already started have been killed.</exception>
    /// <exception cref="InvalidOperationException">This process has run a family before: its slots are taken.</exception>
    public async Task<FamilyResult> RunAsync()
    {
        if (Interlocked.Exchange(ref s_started, 1) != 0)
        {
            throw new InvalidOperationException("A process runs one family, once: start another host process for another family.");
        }

        return await (await _thread.AskAsync(Begin).ConfigureAwait(false)).ConfigureAwait(false);
    }

    /// <summary>Sends a signal to every member that runs, and to those still being started. What follows is up to their restart policies.</summary>
    /// <param name="signal">Number, as in signal(7).</param>
    /// <param name="by">Who wants it: the observer is told "sent SIGHUP by ...".</param>
    public void Send(int signal, string by = OwnProgram) => Do(s => s.Send(signal, by));

    /// <summary>Stops the family for good: each member gets the signal once those that depend on it have ended, and SIGKILL after its grace.</summary>
    /// <param name="signal">Number, as in signal(7).</param>
    /// <param name="by">Who wants it: the observer is told "stopped by ...".</param>
    public void Stop(int signal, string by = OwnProgram) => Do(s => s.Stop(signal, by));

    /// <summary>Kills all members, now and for good.</summary>
    /// <param name="by">Who wants it: the observer is told "killed by ...".</param>
    public void Kill(string by = OwnProgram) => Do(s => s.Kill(by));

    /// <summary>Starts one member anew, in another slot, while the others go on.</summary>
    /// <param name="member">Its name.</param>
    /// <param name="definition">Another version of it, or null for the same.</param>
    /// <exception cref="KeyNotFoundException">No member has that name.</exception>
    public Task RestartAsync(string member, MemberDefinition? definition = null) => WithMember(member, (s, m) => s.Replace(m, definition, OwnProgram));

    /// <summary>Stops one member; it stays down.</summary>
    /// <param name="member">Its name.</param>
    /// <exception cref="KeyNotFoundException">No member has that name.</exception>
    public Task StopAsync(string member) => WithMember(member, static (s, m) => s.StopOne(m, OwnProgram));

    /// <summary>Starts a member anew whatever its policy, because it cannot go on as it is; its restart limit holds. Nothing happens when it does not run.</summary>
    /// <param name="member">Its name.</param>
    /// <param name="reason">What it lost, as a sentence without the full stop; the observer's notice begins with it.</param>
    public void RestartLost(string member, string reason) => Do(s => s.RestartLost(s.Find(member), reason));

    /// <summary>Whose work the CPU time of each member was, of those that run.</summary>
    internal Task<List<(string Name, MemberTime Time)>> TimesAsync() => _thread.AskAsync<List<(string, MemberTime)>>(() =>
        [.. (_supervisor?.Members ?? []).Where(m => m.IsRunning).Select(m => (m.Name, m.Process!.Time)).Where(t => t.Time is not null).Select(t => (t.Name, t.Time!))]);

    /// <summary>Kills what still runs, and ends the host's thread.</summary>
    public void Dispose()
    {
        _control?.Dispose();
        Kill();
        _thread.Dispose();
        _keeper?.Dispose();
    }

    private unsafe Task<FamilyResult> Begin()
    {
        if (PlatformCheck.Required.Refusal is { } refusal)
        {
            throw new MemberStartException(125, refusal);
        }

        Readiness.Prepare(_definition.Members.Count);
        Family family = Family.GetOrCreate(_inject);
        TimeAccount.Enabled = _definition.Accounting;
        family.TraceMembers = _definition.TraceMembers;
        family.Notice = text => _observer.Notice("rpal", text);
        OrphanReaper.StartIfNeeded(family.Notice);
        if (_options.KeeperCommand is { } command && _definition.OnHostExit != HostExitPolicy.Kill)
        {
            _keeper = KeeperLink.Start(command, _definition.OnHostExit, _options.StopGrace, _observer);
            family.LastReceived = _keeper.LastReceived;

            // Not SIGTERM: the kernel sends the parent death signal once for each thread of this process that the member is handed on to
            // while they are killed one after the other, so a handler ran up to three times. The keeper sends it, once.
            family.ParentDeathSignal = 0;
        }

        var starter = new MemberStarter(family, _observer, _logs, _keeper);
        var supervisor = _supervisor = new Supervisor(_definition, family, starter, _thread, _observer, _options.StopGrace) { RestartDelay = _options.RestartDelay };
        family.ReceiverLost = (slot, generation, reason) => _thread.Post(() => supervisor.RestartLost(slot, generation, reason));
        if (_options.Control)
        {
            _control = ControlServer.TryStart(new FamilyControl(_definition, _options.Reload, family, supervisor, _thread, _logs), _observer);
        }

        _early.ForEach(act => act(supervisor));
        supervisor.Decide();
        return supervisor.Result;
    }

    /// <summary>On the host's thread; what comes before the family runs is done before its first start.</summary>
    private void Do(Action<Supervisor> act) => _thread.Post(() =>
    {
        if (_supervisor is { } s)
        {
            act(s);
        }
        else
        {
            _early.Add(act);
        }
    });

    private Task<bool> WithMember(string name, Action<Supervisor, SupervisedMember> act) => _thread.AskAsync(() =>
    {
        Supervisor s = _supervisor ?? throw new InvalidOperationException("The family does not run yet.");
        act(s, s.Find(name));
        return true;
    });
}
