using System.Diagnostics;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Cli.Torture;

/// <summary>Why a member may end now.</summary>
internal enum Permitted
{
    /// <summary>It may not: an end is a crash.</summary>
    Nothing,

    /// <summary>Somebody kills it, or has.</summary>
    Kill,

    /// <summary>The host starts it anew, because it lost a receiver with a killed caller.</summary>
    Lost,

    /// <summary>The run is over.</summary>
    Stop,
}

/// <summary>One member as the torture's host knows it. Fields under the family's lock.</summary>
internal sealed unsafe class TortureMember(string name, bool isCallee, int index, TortureArena* arena)
{
    private const int LinesKept = 40;

    private readonly Queue<string> _lines = new();

    public string Name { get; } = name;

    public bool IsCallee { get; } = isCallee;

    public int Index { get; } = index;

    public MemberPlace* Place { get; } = isCallee ? TortureArena.Callee(arena, index) : TortureArena.Caller(arena, index);

    /// <summary>0: not running.</summary>
    public int Pid { get; private set; }

    public int Slot { get; private set; }

    public Permitted Permitted { get; set; }

    /// <summary>The host said that it lost a receiver and ends it, whatever else was meant for it.</summary>
    public bool IsLost { get; set; }

    /// <summary>When the process began, was killed or ended, CLOCK_MONOTONIC in ns.</summary>
    public long SinceNs { get; private set; }

    /// <summary>Which of its processes runs now, or did last. Each counts itself when it begins, and this is known before it does.</summary>
    public ulong Incarnation { get; private set; } = 1;

    /// <summary>Its services, handlers and threads are there.</summary>
    public bool IsUp => Pid != 0 && Volatile.Read(ref Place->Ready) == Incarnation;

    /// <summary>Up, and nobody has told it to end.</summary>
    public bool IsReady => IsUp && Permitted == Permitted.Nothing;

    public void Started(int pid, long slotAddress, Permitted permitted)
    {
        IsLost = false;
        (Pid, Slot, Permitted, SinceNs) = (pid, (int)((slotAddress - FamilyLayout.SlotBase) / FamilyLayout.SlotBytes), permitted, Stopwatch.GetTimestamp());
    }

    /// <summary>Before it is ended: what its callers may see from now on.</summary>
    public void Permit(Permitted what)
    {
        Permitted = what;
        SinceNs = Stopwatch.GetTimestamp();
        Volatile.Write(ref Place->MayDie, Incarnation);
    }

    /// <summary>It was to kill itself, or to be killed, at a point, and did not come there.</summary>
    public void Spare()
    {
        if (Permitted == Permitted.Kill)
        {
            Permitted = Permitted.Nothing;
            Volatile.Write(ref Place->MayDie, Incarnation - 1);
        }
    }

    public void Ended()
    {
        Pid = 0;
        SinceNs = Stopwatch.GetTimestamp();
        Incarnation = Volatile.Read(ref Place->Incarnation) + 1;
    }

    public void Kill()
    {
        Permit(Permitted.Kill);
        Volatile.Write(ref Place->KilledNs, Stopwatch.GetTimestamp());
        _ = Sys.Kill(Pid, Signal.SIGKILL);
    }

    public void AddLine(string line)
    {
        _lines.Enqueue(line);
        if (_lines.Count > LinesKept)
        {
            _lines.Dequeue();
        }
    }

    public string TakeLines()
    {
        string all = string.Join('\n', _lines);
        _lines.Clear();
        return all;
    }
}
