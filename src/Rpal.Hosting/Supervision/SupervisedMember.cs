using System.Diagnostics;
using Rpal.Linux;

namespace Rpal.Hosting.Supervision;

/// <summary>What happens once a member that is being stopped has ended.</summary>
internal enum AfterStop
{
    /// <summary>Its policy decides.</summary>
    Policy,

    /// <summary>It stays down.</summary>
    StayDown,

    /// <summary>It is started again at once.</summary>
    StartAgain,

    /// <summary>It is started again after a delay, whatever its policy; counts as a failure.</summary>
    StartAgainLost,
}

/// <summary>One member over all its processes. Makes the transitions; <see cref="Supervisor"/> decides which. Used by the host's thread only.</summary>
internal sealed class SupervisedMember(MemberDefinition definition, MemberStarter starter, HostThread thread, IFamilyObserver observer)
{
    private long _began;

    public string Name => Definition.Name;

    /// <summary>Of the next start; replaced by <see cref="Supervisor.Replace"/>.</summary>
    public MemberDefinition Definition { get; set; } = definition;

    public MemberPhase Phase { get; private set; } = MemberPhase.Waiting;

    /// <summary>The last one started, running or not.</summary>
    public Member? Process { get; private set; }

    /// <summary>Counts starts, so that what was meant for one process never reaches the next.</summary>
    public int Generation { get; private set; }

    /// <summary>Starts after the first.</summary>
    public int Restarts => Math.Max(0, Generation - 1);

    /// <summary>Ends in a row without a healthy run.</summary>
    public int Row { get; private set; }

    public AfterStop After { get; private set; }

    /// <summary>Why it was stopped by the host, for the observer.</summary>
    public string? Reason { get; private set; }

    public MemberExit? LastExit { get; private set; }

    public TimeSpan LastRan { get; private set; }

    /// <summary>Its end was asked for by name: no failure of the family.</summary>
    public bool StoppedByName { get; private set; }

    /// <summary>Was ready at some time.</summary>
    public bool WasReady { get; private set; }

    /// <summary>Becomes true when the last process's end is no success, whatever its exit code: not ready in time.</summary>
    public bool NotReadyInTime { get; private set; }

    public bool IsRunning => Phase is MemberPhase.Starting or MemberPhase.Ready or MemberPhase.Stopping;

    public bool IsDown => Phase is MemberPhase.Ended or MemberPhase.GivenUp;

    public TimeSpan Uptime => Stopwatch.GetElapsedTime(_began);

    /// <summary>Waiting ► Starting.</summary>
    /// <exception cref="MemberStartException">Nothing was started; still Waiting.</exception>
    public void Start(Action<SupervisedMember, MemberExit> ended)
    {
        Expect(MemberPhase.Waiting);
        long began = Stopwatch.GetTimestamp();
        Member process = starter.Start(Definition, out Task lines);
        (_began, Process, After, Reason, StoppedByName, NotReadyInTime) = (began, process, AfterStop.Policy, null, false, false);
        Generation++;
        Phase = MemberPhase.Starting;
        _ = FollowAsync();

        async Task FollowAsync()
        {
            MemberExit exit = await process.Exit.ConfigureAwait(false);
            TimeSpan ran = Stopwatch.GetElapsedTime(began);
            await lines.ConfigureAwait(false);
            thread.Post(() =>
            {
                (LastExit, LastRan) = (exit, ran);
                try
                {
                    observer.Ended(Name, exit, ran);
                }
                finally
                {
                    ended(this, exit);                           // whatever an observer does: else the family would never end
                }
            });
        }
    }

    /// <summary>Starting ► Ready.</summary>
    public void BecomeReady()
    {
        Expect(MemberPhase.Starting);
        Phase = MemberPhase.Ready;
        WasReady = true;
        if (Definition.ReadyServices.Count > 0)
        {
            observer.Ready(Name, Uptime);
        }
    }

    /// <summary>Starting, Ready ► Stopping. Already Stopping: only what comes after it changes.</summary>
    /// <param name="signal">What its process gets.</param>
    /// <param name="grace">Until SIGKILL.</param>
    /// <param name="after">What comes after its end.</param>
    /// <param name="reason">Why, for whoever is told that it is started again; null: by its end.</param>
    /// <param name="told">For the observer, on whose behalf; null: it was told already.</param>
    public void Stop(int signal, TimeSpan grace, AfterStop after, string? reason, string? told = null)
    {
        if (!IsRunning)
        {
            throw Unexpected();
        }

        if (told is not null)
        {
            observer.Acting(Name, told);
        }

        (After, Reason) = (after, reason ?? Reason);
        if (Phase == MemberPhase.Stopping)
        {
            return;
        }

        Phase = MemberPhase.Stopping;
        Process!.Send(signal);
        int generation = Generation;
        thread.PostAfter(grace, () =>
        {
            if (generation == Generation && Phase == MemberPhase.Stopping)
            {
                observer.Acting(Name, $"killed by rpal: it has not ended within {grace.TotalSeconds:0.###} s");
                Process.Send(Signal.SIGKILL);
            }
        });
    }

    public void MarkStoppedByName() => StoppedByName = true;

    public void MarkNotReadyInTime() => NotReadyInTime = true;

    /// <summary>Its process has ended, or could not be started ► BackingOff; Waiting after the delay.</summary>
    /// <param name="delay">Until then.</param>
    /// <param name="why">For the observer; null: it was told when the process was stopped.</param>
    /// <param name="proceed">After the delay.</param>
    public void BackOff(TimeSpan delay, string? why, Action proceed)
    {
        Phase = MemberPhase.BackingOff;
        if (why is not null)
        {
            observer.Restarting(Name, delay, Row, why);
        }

        int generation = Generation, row = Row;
        thread.PostAfter(delay, () =>
        {
            if (Phase == MemberPhase.BackingOff && generation == Generation && row == Row)
            {
                Wait();
                proceed();
            }
        });
    }

    /// <summary>► Waiting: to be started when its turn has come.</summary>
    public void Wait() => Phase = IsRunning && !HasEnded ? throw Unexpected() : MemberPhase.Waiting;

    /// <summary>► Ended.</summary>
    public void End() => Phase = IsRunning && !HasEnded ? throw Unexpected() : MemberPhase.Ended;

    /// <summary>► GivenUp.</summary>
    public void GiveUp(string why, MemberExit? exit = null)
    {
        LastExit = exit ?? LastExit;
        Phase = MemberPhase.GivenUp;
        observer.GivenUp(Name, why);
    }

    /// <summary>One more end in the row, or the first of a new one.</summary>
    public void CountEnd(bool healthy) => Row = healthy ? 1 : Row + 1;

    public void StartNewRow() => Row = 0;

    private bool HasEnded => Process?.Exit.IsCompleted != false;

    private void Expect(MemberPhase phase)
    {
        if (Phase != phase)
        {
            throw Unexpected();
        }
    }

    private InvalidOperationException Unexpected() => new($"Member {Name} is {Phase}.");
}
