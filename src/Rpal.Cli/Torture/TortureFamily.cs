using System.Diagnostics;
using System.Text;
using Rpal.Hosting;
using Rpal.Hosting.Death;
using Rpal.Linux;

namespace Rpal.Cli.Torture;

/// <summary>The family under torture: what its members are, which ends were meant, and what was not.</summary>
internal sealed unsafe class TortureFamily : IFamilyObserver, IDisposable
{
    /// <summary>A member that only sleeps: the family goes on while all others are down.</summary>
    private const string Anchor = "anchor";

    private static readonly TimeSpan s_stopGrace = TimeSpan.FromSeconds(8);

    private readonly FamilyHost _host;
    private readonly TortureArena* _arena;
    private readonly List<string> _crashes = [], _hangs = [];
    private Task<FamilyResult>? _run;
    private bool _stopping;

    public TortureFamily(TortureArena* arena, TortureOptions options)
    {
        _arena = arena;
        Members =
        [
            .. Enumerable.Range(0, options.Callees).Select(i => new TortureMember($"callee-{i}", isCallee: true, i, _arena)),
            .. Enumerable.Range(0, options.Callers).Select(i => new TortureMember($"caller-{i}", isCallee: false, i, _arena)),
        ];
        MemberDefinition anchor = new() { Name = Anchor, Command = "sleep", Arguments = ["infinity"] };
        _host = new FamilyHost(new FamilyDefinition([anchor, .. Members.Select(m => Definition(m, options))]) { TraceMembers = options.Trace }, this, options.Inject,
            new FamilyHostOptions { StopGrace = s_stopGrace, RestartDelay = TimeSpan.Zero });
    }

    public Lock Lock { get; } = new();

    public IReadOnlyList<TortureMember> Members { get; }

    public IEnumerable<TortureMember> Callees => Members.Where(m => m.IsCallee);

    public IEnumerable<TortureMember> Callers => Members.Where(m => !m.IsCallee);

    public IReadOnlyList<string> Crashes => _crashes;

    public IReadOnlyList<string> Hangs => _hangs;

    public int KilledCallees { get; private set; }

    public int KilledCallers { get; private set; }

    public int LostReceivers { get; private set; }

    public int Restarts { get; private set; }

    /// <summary>Something happened that no run may go on after.</summary>
    public bool Failed => _crashes.Count > 0 || _hangs.Count > 0;

    /// <summary>What the warm-up counted does not count.</summary>
    public void ClearFigures()
    {
        lock (Lock)
        {
            (KilledCallees, KilledCallers, LostReceivers, Restarts) = (0, 0, 0, 0);
            TortureArena.ClearFigures(_arena);
        }
    }

    public void Start() => _run = _host.RunAsync();

    public void Hang(string what)
    {
        lock (Lock)
        {
            _hangs.Add(what);
        }
    }

    /// <summary>Down with all but the anchor; true when all went in time.</summary>
    public void StopMembers()
    {
        Volatile.Write(ref _arena->Pause, 1);
        for (long begin = Stopwatch.GetTimestamp(); AnyCall() && Stopwatch.GetElapsedTime(begin) < s_stopGrace && !Failed;)
        {
            Pace.BetweenLooks();
        }

        lock (Lock)
        {
            _stopping = true;
            foreach (TortureMember m in Members)
            {
                m.Permit(Permitted.Stop);
            }
        }

        foreach (TortureMember m in Members)
        {
            _host.StopAsync(m.Name).GetAwaiter().GetResult();
        }

        for (long begin = Stopwatch.GetTimestamp(); Members.Any(m => m.Pid != 0) && Stopwatch.GetElapsedTime(begin) < 2 * s_stopGrace;)
        {
            Pace.BetweenLooks();
        }
    }

    public void StartMembers()
    {
        Volatile.Write(ref _arena->Pause, 0);
        _stopping = false;
        foreach (TortureMember m in Members)
        {
            _host.RestartAsync(m.Name).GetAwaiter().GetResult();
        }
    }

    /// <summary>For good.</summary>
    public void End()
    {
        Volatile.Write(ref _arena->Stop, 1);
        _host.Kill();
        _ = _run!.Wait(s_stopGrace);
    }

    public void Dispose() => _host.Dispose();

    private bool AnyCall()
    {
        foreach (TortureMember m in Callers)
        {
            for (int t = 0; m.Pid != 0 && t < TortureOptions.Threads; t++)
            {
                if (Volatile.Read(ref TortureArena.Call(_arena, m.Index, t)->StartedNs) != 0)
                {
                    return true;
                }
            }
        }

        return false;
    }

    private MemberDefinition Definition(TortureMember m, TortureOptions options)
    {
        (string command, string[] arguments) = TortureRoles.Member(m.IsCallee ? "callee" : "caller", _arena, m.Index, options);
        return new MemberDefinition
        {
            Name = m.Name,
            Command = command,
            Arguments = arguments,
            Restart = RestartPolicy.Always,
            RestartLimit = int.MaxValue,
            Environment = options.Inject ? new Dictionary<string, string?> { ["RPAL_TEST_INJECT_EVERY"] = "31" } : [],
        };
    }

    void IFamilyObserver.Started(string member, int processId, long slotAddress)
    {
        if (Find(member) is { } m)
        {
            lock (Lock)
            {
                Restarts++;
                m.Started(processId, slotAddress, _stopping ? Permitted.Stop : Permitted.Nothing);
            }
        }
    }

    void IFamilyObserver.Line(string member, bool isError, ReadOnlySpan<byte> line)
    {
        if (Find(member) is { } m)
        {
            lock (Lock)
            {
                m.AddLine(Encoding.UTF8.GetString(line));
            }
        }
    }

    void IFamilyObserver.Ended(string member, MemberExit exit, TimeSpan ran)
    {
        if (Find(member) is { } m)
        {
            lock (Lock)
            {
                Judge(m, exit, ran);
                m.Ended();
                CloseCalls(m);
            }
        }
    }

    void IFamilyObserver.Notice(string member, string text)
    {
        if (Find(member) is not { } m)
        {
            return;
        }

        lock (Lock)
        {
            if (text.Contains(LostReceiver.Told, StringComparison.Ordinal))
            {
                m.IsLost = true;
                m.Permit(m.Permitted == Permitted.Nothing ? Permitted.Lost : m.Permitted);
            }

            m.AddLine(text);
        }
    }

    void IFamilyObserver.GivenUp(string member, string why)
    {
        lock (Lock)
        {
            _crashes.Add($"{member} given up: {why}");
        }
    }

    private TortureMember? Find(string name) => Members.FirstOrDefault(m => m.Name == name);

    private void Judge(TortureMember m, MemberExit exit, TimeSpan ran)
    {
        string lines = m.TakeLines();
        switch (m.Permitted)
        {
            case Permitted.Kill when exit.Signal == Signal.SIGKILL:
                KilledCallees += m.IsCallee ? 1 : 0;
                KilledCallers += m.IsCallee ? 0 : 1;
                break;
            case Permitted.Lost or Permitted.Kill when m.IsLost && (exit.Signal is Signal.SIGKILL or Signal.SIGTERM || exit.ExitCode == 128 + Signal.SIGTERM):
                LostReceivers++;
                break;
            case Permitted.Stop when exit.Signal == Signal.SIGTERM || exit.ExitCode is 0 or 128 + Signal.SIGTERM:
                break;
            case Permitted.Stop when exit.Signal == Signal.SIGKILL:
                _hangs.Add($"{m.Name} did not end within {s_stopGrace.TotalSeconds} s of SIGTERM\n{lines}");
                break;
            default:
                _crashes.Add($"{m.Name} (process {m.Pid}) ended: {exit} after {ran.TotalSeconds:F3} s, permitted was {m.Permitted}\n{lines}");
                break;
        }
    }

    /// <summary>Calls that nobody is in any more.</summary>
    private void CloseCalls(TortureMember m)
    {
        for (int t = 0; !m.IsCallee && t < TortureOptions.Threads; t++)
        {
            CallPlace* c = TortureArena.Call(_arena, m.Index, t);
            if (Interlocked.Exchange(ref c->StartedNs, 0) != 0)
            {
                c->Abandoned++;
            }
        }
    }
}
