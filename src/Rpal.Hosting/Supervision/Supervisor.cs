using Rpal.Linux;

namespace Rpal.Hosting.Supervision;

/// <summary>Decides for all members what happens next. Everything runs on the host's thread; <see cref="Decide"/> is the one place that looks at all of them.</summary>
internal sealed class Supervisor
{
    /// <summary>For a member that cannot go on as it is, its runtime perhaps stuck: long enough to write a line, short enough for its callers.</summary>
    private static readonly TimeSpan s_lostGrace = TimeSpan.FromSeconds(2);

    /// <summary>The host's own exit code for a member that never ran, or never became what it should.</summary>
    private const int CouldNotRun = 125;

    private readonly List<SupervisedMember> _members;
    private readonly Dictionary<string, SupervisedMember> _byName;
    private readonly List<SupervisedMember> _downInOrder = [];
    private readonly Family _family;
    private readonly HostThread _thread;
    private readonly IFamilyObserver _observer;
    private readonly TimeSpan _grace;
    private readonly TaskCompletionSource<FamilyResult> _result = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private MemberStartException? _refusal;
    private int _stopSignal;
    private string _stoppedBy = "";
    private int _pendingSignal;
    private bool _willDecide;

    public Supervisor(FamilyDefinition definition, Family family, MemberStarter starter, HostThread thread, IFamilyObserver observer, TimeSpan grace)
    {
        (_family, _thread, _observer, _grace) = (family, thread, observer, grace);
        _members = [.. definition.Members.Select(m => new SupervisedMember(m, starter, thread, observer))];
        _byName = _members.ToDictionary(m => m.Name);
        family.Directory.Changed += DecideSoon;                  // a service was enabled or is gone
    }

    public IReadOnlyList<SupervisedMember> Members => _members;

    /// <summary>See <see cref="FamilyHostOptions.RestartDelay"/>.</summary>
    public TimeSpan? RestartDelay { get; init; }

    /// <summary>Completes when all are down and none is to be started again.</summary>
    public Task<FamilyResult> Result => _result.Task;

    /// <exception cref="KeyNotFoundException">No member has that name; says which there are.</exception>
    public SupervisedMember Find(string name) => _byName.TryGetValue(name, out SupervisedMember? m) ? m
        : throw new KeyNotFoundException($"{name}: no such member. Members: {string.Join(", ", _byName.Keys)}.");

    /// <summary>Looks at every member and makes what transitions can be made now.</summary>
    public void Decide()
    {
        if (_result.Task.IsCompleted)
        {
            return;
        }

        for (bool changed = true; changed;)
        {
            changed = false;
            foreach (SupervisedMember m in _members)
            {
                changed |= Step(m);
            }
        }

        if (_members.All(m => m.IsDown))
        {
            Complete();
        }
    }

    /// <summary>From any thread. One look is enough for all that happened before it, so no more than one is ever queued.</summary>
    private void DecideSoon()
    {
        if (!Interlocked.Exchange(ref _willDecide, true))
        {
            _thread.Post(() =>
            {
                Interlocked.Exchange(ref _willDecide, false);
                Decide();
            });
        }
    }

    /// <returns>Whether it made a transition: others may follow.</returns>
    private bool Step(SupervisedMember m)
    {
        switch (m.Phase)
        {
            case MemberPhase.Waiting or MemberPhase.BackingOff when _stopSignal != 0:
                Down(m, null);
                return true;
            case MemberPhase.Waiting when Blocker(m) is { } dead:
                Down(m, $"{dead} has ended before it was ready");
                return true;
            case MemberPhase.Waiting when m.Definition.DependsOn.All(d => Satisfies(_byName[d])) && HasSlot():
                Start(m);
                return true;
            case MemberPhase.Starting when IsReady(m):
                m.BecomeReady();
                return true;
            case MemberPhase.Starting or MemberPhase.Ready when _stopSignal != 0 && !_members.Exists(o => o.IsRunning && o.Definition.DependsOn.Contains(m.Name)):
                m.Stop(_stopSignal, m.Definition.StopGrace ?? _grace, AfterStop.StayDown, null, $"stopped by {_stoppedBy}");
                return true;
            default:
                return false;
        }
    }

    private void Start(SupervisedMember m)
    {
        try
        {
            m.Start(OnEnded);
        }
        catch (MemberStartException e)
        {
            OnStartFailed(m, e);
            return;
        }

        if (_pendingSignal != 0 && m.Restarts == 0)
        {
            m.Process!.Send(_pendingSignal);
        }

        _ = m.Process!.Reclaimed.ContinueWith(_ => DecideSoon(), TaskScheduler.Default);
        if (m.Definition.ReadyServices.Count > 0)
        {
            int generation = m.Generation;
            _thread.PostAfter(m.Definition.ReadyTimeout, () => OnReadyTimeout(m, generation));
        }
    }

    /// <summary>A first start that fails ends the family, as with a shell that does not find the program; a later one is a failure like others.</summary>
    private void OnStartFailed(SupervisedMember m, MemberStartException e)
    {
        if (m.Generation == 0)
        {
            _refusal ??= e;
            Down(m, null);
            Kill($"rpal: {m.Name} cannot be started");
            return;
        }

        var exit = new MemberExit(e.ExitCode, 0);
        m.CountEnd(healthy: false);
        if (m.Definition.Restart == RestartPolicy.No && m.After != AfterStop.StartAgainLost)
        {
            Down(m, e.Message, exit);
        }
        else
        {
            Again(m, e.Message, exit);
        }
    }

    private void OnEnded(SupervisedMember m, MemberExit exit)
    {
        m.CountEnd(m.LastRan >= Backoff.Healthy);
        exit = m.NotReadyInTime && exit.ExitCode == 0 ? new MemberExit(CouldNotRun, 0) : exit;
        string why = m.Reason ?? $"{exit}";
        if (_stopSignal != 0 || m.After == AfterStop.StayDown)
        {
            Down(m, null);
        }
        else if (m.After == AfterStop.StartAgain)
        {
            m.StartNewRow();
            m.Wait();
        }
        else if (m.After == AfterStop.StartAgainLost || m.Definition.Restart == RestartPolicy.Always || (m.Definition.Restart == RestartPolicy.OnFailure && exit.ExitCode != 0))
        {
            Again(m, why, exit);
        }
        else
        {
            Down(m, m.NotReadyInTime ? why : null, exit);
        }

        Decide();
    }

    private void Again(SupervisedMember m, string why, MemberExit exit)
    {
        int limit = m.Definition.RestartLimit ?? (m.After == AfterStop.StartAgainLost ? Backoff.LostLimit : int.MaxValue);
        if (m.Row > limit)
        {
            Down(m, $"{why}; restarted {limit} times in a row, no more", exit);
        }
        else
        {
            m.BackOff(RestartDelay ?? Backoff.Delay(m.Row), m.After == AfterStop.StartAgainLost && why == m.Reason ? null : why, Decide);
        }
    }

    private void OnReadyTimeout(SupervisedMember m, int generation)
    {
        if (m.Phase == MemberPhase.Starting && m.Generation == generation)
        {
            string why = $"not ready within {m.Definition.ReadyTimeout.TotalSeconds:0.###} s: no service {string.Join(", ", m.Definition.ReadyServices.Where(s => !IsEnabled(m, s)))}";
            _observer.Notice(m.Name, $"{why}. Stopping it.");
            m.MarkNotReadyInTime();
            m.Stop(Signal.SIGTERM, m.Definition.StopGrace ?? _grace, AfterStop.Policy, why);
            Decide();
        }
    }

    /// <summary>► Ended, or with a reason GivenUp.</summary>
    private void Down(SupervisedMember m, string? why, MemberExit? exit = null)
    {
        _downInOrder.Remove(m);
        _downInOrder.Add(m);
        if (why is null)
        {
            m.End();
        }
        else
        {
            m.GiveUp(why, exit ?? (m.LastExit is null ? new MemberExit(CouldNotRun, 0) : null));
        }
    }

    private void Complete()
    {
        if (_refusal is not null)
        {
            _result.TrySetException(_refusal);
            return;
        }

        _result.TrySetResult(new FamilyResult([.. from m in _downInOrder
                                               where m.LastExit is not null
                                               select new MemberResult(m.Name, m.LastExit!.Value, m.LastRan, m.Restarts, m.StoppedByName)]));
    }

    /// <summary>Stops all, those first on which no other depends; a member's grace begins when its turn comes.</summary>
    /// <param name="signal">What they get.</param>
    /// <param name="by">Who wants it, for the observer.</param>
    public void Stop(int signal, string by)
    {
        (_stopSignal, _stoppedBy) = _stopSignal == 0 ? (signal, by) : (_stopSignal, _stoppedBy);
        Decide();
    }

    /// <summary>Kills all, now.</summary>
    /// <param name="by">Who wants it, for the observer.</param>
    public void Kill(string by)
    {
        (_stopSignal, _stoppedBy) = _stopSignal == 0 ? (Signal.SIGKILL, by) : (_stopSignal, _stoppedBy);
        foreach (SupervisedMember m in _members.Where(m => m.IsRunning))
        {
            _observer.Acting(m.Name, $"killed by {by}");
            m.Process!.Send(Signal.SIGKILL);
        }

        Decide();
    }

    /// <summary>A signal to all that run and to those still being started; it changes nobody's state.</summary>
    /// <param name="signal">What they get.</param>
    /// <param name="by">Who wants it, for the observer.</param>
    public void Send(int signal, string by)
    {
        _pendingSignal = _members.Exists(m => m.Generation == 0) ? signal : 0;
        foreach (SupervisedMember m in _members.Where(m => m.IsRunning))
        {
            SendOne(m, signal, by);
        }
    }

    /// <summary>A signal to one that runs.</summary>
    public void SendOne(SupervisedMember m, int signal, string by)
    {
        _observer.Acting(m.Name, $"sent {SignalName.Of(signal)} by {by}");
        m.Process!.Send(signal);
    }

    /// <summary>Stops one; it stays down.</summary>
    public void StopOne(SupervisedMember m, string by)
    {
        if (m.IsRunning)
        {
            m.MarkStoppedByName();
            m.Stop(Signal.SIGTERM, m.Definition.StopGrace ?? _grace, AfterStop.StayDown, null, $"stopped by {by}");
        }
        else if (!m.IsDown)
        {
            Down(m, null);
        }

        Decide();
    }

    /// <summary>Starts one anew, in another slot, while the others go on calling. With a definition: that one from now on.</summary>
    /// <exception cref="MemberStartException">There are no descriptors for it: the one that runs goes on.</exception>
    public void Replace(SupervisedMember m, MemberDefinition? definition, string by)
    {
        HostDescriptors.RequireForStart(m.Name);
        TimeSpan grace = m.Definition.StopGrace ?? _grace;
        m.Definition = definition ?? m.Definition;
        if (m.IsRunning)
        {
            m.Stop(Signal.SIGTERM, grace, AfterStop.StartAgain, null, $"restart requested by {by}");
        }
        else
        {
            _observer.Acting(m.Name, $"start requested by {by}");
            m.StartNewRow();
            m.Wait();
        }

        Decide();
    }

    /// <summary>Starts one anew whatever its policy, because it cannot go on as it is. Bounded by its limit.</summary>
    /// <param name="m">The member.</param>
    /// <param name="reason">What it lost.</param>
    /// <param name="remedy">What would have avoided that: a sentence, or nothing.</param>
    public void RestartLost(SupervisedMember m, string reason, string remedy = "")
    {
        if (m.Phase is MemberPhase.Starting or MemberPhase.Ready)
        {
            _observer.Notice(m.Name, $"{reason}, so {m.Name} is restarted. {remedy}".TrimEnd());
            TimeSpan own = m.Definition.StopGrace ?? _grace;
            m.Stop(Signal.SIGTERM, own < s_lostGrace ? own : s_lostGrace, AfterStop.StartAgainLost, reason);
            Decide();
        }
    }

    /// <summary>The same for whoever had the slot then; nothing happens when another process has it now.</summary>
    public void RestartLost(int slot, ulong generation, string reason)
    {
        if (_members.Find(m => m.IsRunning && m.Process!.Slot == slot && m.Process.Generation == generation) is { } m)
        {
            RestartLost(m, reason, _family.TraceMembers ? "" : "rpal run --trace-members avoids this.");
        }
    }

    /// <summary>A member that this one needs and that will not become ready.</summary>
    private string? Blocker(SupervisedMember m) => m.Definition.DependsOn.FirstOrDefault(d => _byName[d].IsDown && !Satisfies(_byName[d]));

    /// <summary>Ready; or, when it only had to be started, started and ended since.</summary>
    private static bool Satisfies(SupervisedMember m) =>
        m.Phase == MemberPhase.Ready || (m.Phase == MemberPhase.Ended && m.WasReady && m.Definition.ReadyServices.Count == 0);

    private bool IsReady(SupervisedMember m) => m.Definition.ReadyServices.All(s => IsEnabled(m, s));

    private bool IsEnabled(SupervisedMember m, string service) => m.Process?.Slot is { } slot && _family.Directory.IsEnabled(service, slot);

    /// <summary>A member started again usually comes before its old slot is free; with all slots in use it waits for one that comes back.
    /// That need not be its own: another may have got that.</summary>
    private bool HasSlot() => _family.Slots.Free > 0
        || !_members.Exists(static o => o.Process is { Reclaimed.IsCompleted: false } p && (p.Exit.IsCompleted || p.Slot is null));
}
