using System.Collections.Concurrent;
using System.Diagnostics;
using Rpal.Linux;
using Rpal.Machine.Blocks;
using Rpal.Machine.Platform;

namespace Rpal.Hosting;

/// <summary>How a family's run ended: one entry per member, in the order in which they ended.</summary>
/// <param name="Members">Name, exit and how long it ran.</param>
public sealed record FamilyResult(IReadOnlyList<(string Name, MemberExit Exit, TimeSpan Ran)> Members)
{
    /// <summary>The exit code of the first member that failed, or 0.</summary>
    public int ExitCode => Members.FirstOrDefault(m => m.Exit.ExitCode != 0).Exit.ExitCode;
}

/// <summary>Loads a family into this process's address space and runs it to its end. One family per process.</summary>
public sealed class FamilyHost : IDisposable
{
    /// <summary>A line longer than this is handed over in parts.</summary>
    public const int LineBytesLimit = 8192;

    private readonly FamilyDefinition _definition;
    private readonly IFamilyObserver _observer;
    private readonly Lock _observerLock = new();
    private readonly List<Member> _members = [];
    private readonly BlockingCollection<Action> _work = [];
    private readonly Thread _thread;
    private readonly bool _inject;
    private static int s_started;
    private int _pendingSignal;

    /// <param name="definition">The members.</param>
    /// <param name="observer">Told what happens.</param>
    public FamilyHost(FamilyDefinition definition, IFamilyObserver observer)
        : this(definition, observer, inject: false)
    {
    }

    internal FamilyHost(FamilyDefinition definition, IFamilyObserver observer, bool inject)
    {
        _definition = definition;
        _observer = observer;
        _inject = inject;
        _thread = new Thread(() =>
        {
            foreach (Action action in _work.GetConsumingEnumerable())
            {
                action();
            }
        })
        { IsBackground = true, Name = "family host" };           // members are killed when the thread that started them ends
        _thread.Start();
    }

    /// <summary>Starts every member and waits until all have ended.</summary>
    /// <exception cref="MemberStartException">A member cannot be started; those already started have been killed.</exception>
    /// <exception cref="InvalidOperationException">This process has run a family before: its slots are taken.</exception>
    public async Task<FamilyResult> RunAsync()
    {
        if (Interlocked.Exchange(ref s_started, 1) != 0)
        {
            throw new InvalidOperationException("A process runs one family, once: start another host process for another family.");
        }

        var started = new TaskCompletionSource<List<Task<(string, MemberExit, TimeSpan)>>>(TaskCreationOptions.RunContinuationsAsynchronously);
        _work.Add(() =>
        {
            try
            {
                started.SetResult(StartAll());
            }
            catch (Exception e)
            {
                started.SetException(e);
            }
        });
        List<Task<(string, MemberExit, TimeSpan)>> running = await started.Task.ConfigureAwait(false);
        List<(string, MemberExit, TimeSpan)> ended = [];
        await foreach (Task<(string, MemberExit, TimeSpan)> done in Task.WhenEach(running).ConfigureAwait(false))
        {
            ended.Add(await done.ConfigureAwait(false));
        }

        return new FamilyResult(ended);
    }

    /// <summary>Sends a signal to every member that runs, and to those still being started.</summary>
    /// <param name="signal">Number, as in signal(7).</param>
    public void Send(int signal)
    {
        lock (_members)
        {
            _pendingSignal = signal;
            foreach (Member m in _members)
            {
                m.Send(signal);
            }
        }
    }

    /// <summary>Whose work the CPU time of each member was, of those that run.</summary>
    internal IReadOnlyList<(string Name, MemberTime Time)> Times()
    {
        lock (_members)
        {
            return [.. _members.Select(m => (m.Definition.Name, m.Time)).Where(t => t.Time is not null).Select(t => (t.Name, t.Time!))];
        }
    }

    /// <summary>Ends the host's thread, and with it every member that still runs.</summary>
    public void Dispose()
    {
        _work.CompleteAdding();
        _thread.Join();
        _work.Dispose();
    }

    private List<Task<(string, MemberExit, TimeSpan)>> StartAll()
    {
        if (PlatformCheck.Required.Refusal is { } refusal)
        {
            throw new MemberStartException(125, refusal);
        }

        Family family = Family.GetOrCreate(_inject);
        TimeAccount.Enabled = _definition.Accounting;
        List<Task<(string, MemberExit, TimeSpan)>> running = [];
        try
        {
            foreach (MemberDefinition definition in _definition.Members)
            {
                running.Add(StartOne(family, definition));
            }

            return running;
        }
        catch (MemberStartException)
        {
            Send(Signal.SIGKILL);
            Task.WaitAll(running);
            throw;
        }
    }

    private Task<(string, MemberExit, TimeSpan)> StartOne(Family family, MemberDefinition definition)
    {
        int devNull = OutputPipe.AboveStandard(Sys.Open("/dev/null", OpenFlags.ReadWrite | OpenFlags.CloseOnExec));
        using var output = OutputPipe.Open();
        using var error = OutputPipe.Open();
        long begin = Stopwatch.GetTimestamp();
        Member member;
        try
        {
            member = Member.Start(family, definition, devNull, output.WriteEnd, error.WriteEnd);
        }
        finally
        {
            _ = Sys.Close(devNull);
        }

        lock (_members)
        {
            _members.Add(member);
            if (_pendingSignal != 0)
            {
                member.Send(_pendingSignal);
            }
        }

        Observe(o => o.Started(definition.Name, member.Pid, FamilyLayout.Slot(member.Index)));
        Task lines = new OutputPump(output.TakeReadEnd(), error.TakeReadEnd(), member.Exit, (isError, line) =>
        {
            lock (_observerLock)
            {
                _observer.Line(definition.Name, isError, line);
            }
        }).Start(definition.Name);
        return Follow();

        async Task<(string, MemberExit, TimeSpan)> Follow()
        {
            MemberExit exit = await member.Exit.ConfigureAwait(false);
            TimeSpan ran = Stopwatch.GetElapsedTime(begin);
            await lines.ConfigureAwait(false);
            Observe(o => o.Ended(definition.Name, exit, ran));
            return (definition.Name, exit, ran);
        }
    }

    private void Observe(Action<IFamilyObserver> tell)
    {
        lock (_observerLock)
        {
            tell(_observer);
        }
    }
}
