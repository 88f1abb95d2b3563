using System.Diagnostics;
using Rpal.Hosting;
using Rpal.Machine.Blocks;
using Rpal.Machine.Emit;

namespace Rpal.Cli.Torture;

/// <summary>Kills from outside, at random instants: a callee, a caller, a callee, ...</summary>
internal sealed unsafe class RandomKiller(TortureFamily family, ulong seed)
{
    /// <summary>The longest from a kill to the next.</summary>
    private const int LongestPauseMs = 150;

    /// <summary>One kill in so many may meet a member that is still starting.</summary>
    private const int StartingShare = 10;

    private readonly Random _random = TortureMessage.RandomOf(seed, 1);

    public void Run(TimeSpan time, Action<double> progress)
    {
        long begin = Stopwatch.GetTimestamp();
        for (bool callee = true; Stopwatch.GetElapsedTime(begin) < time && !family.Failed; progress(Stopwatch.GetElapsedTime(begin) / time))
        {
            if (TryKill(callee))
            {
                callee = !callee;
                Pace.Run(_random.Next(LongestPauseMs));
                Thread.SpinWait(_random.Next(2000));             // not always right after a timer
            }
            else
            {
                Pace.BetweenLooks();
            }
        }
    }

    public bool TryKill(bool callee)
    {
        lock (family.Lock)
        {
            bool starting = _random.Next(StartingShare) == 0;
            TortureMember[] some = [.. family.Members.Where(m => m.IsCallee == callee && m.Pid != 0 && m.Permitted == Permitted.Nothing && (starting || (m.IsReady && HasWorked(m))))];
            if (some.Length == 0)
            {
                return false;
            }

            TortureMember victim = some[_random.Next(some.Length)];
            KillsUnderLoad += HasWorked(victim) ? 1 : 0;
            victim.Kill();
            return true;
        }
    }

    /// <summary>Kills of members that had made calls, or answered some, in that process.</summary>
    public int KillsUnderLoad { get; set; }

    private static bool HasWorked(TortureMember m) => Volatile.Read(ref m.Place->WorkedIncarnation) == m.Incarnation;
}

/// <summary>Who dies when a member comes to a point.</summary>
internal enum Victim
{
    /// <summary>The caller, whose kernel thread is there.</summary>
    Caller,

    /// <summary>The callee, whose context the caller's kernel thread executes there, or is about to.</summary>
    Peer,

    /// <summary>A callee whose own kernel thread is there: at home, or as the sender of a nested call.</summary>
    Callee,
}

/// <summary>What became of the kills at one point.</summary>
internal sealed record PointResult(string Point)
{
    /// <summary>Tries to meet a peer at a point before it is taken for one where there is none.</summary>
    private const int PeerTries = 8;

    private readonly int[] _kills = new int[3];

    public int NotReached { get; set; }

    public int PeersNotReached { get; set; }

    /// <summary>At home and asleep there is no context of another, and of the second claim (of another receiver, after the first was not ready) the machine code does not tell.</summary>
    public bool HasPeer => !IsHome && Point is not ("wait_reply" or "reclaim_won" or "reclaim_owned") && (PeersNotReached < PeerTries || this[Victim.Peer] > 0);

    public bool IsHome => Point.StartsWith("park", StringComparison.Ordinal) || Point.StartsWith("home", StringComparison.Ordinal);

    public int this[Victim victim]
    {
        get => _kills[(int)victim];
        set => _kills[(int)victim] = value;
    }

    public int Kills => _kills.Sum();
}

/// <summary>Kills at the numbered points of the machine code: a member kills itself where the header's word says.</summary>
internal sealed unsafe class PointKiller(TortureFamily family, TortureOptions options)
{
    private static readonly TimeSpan s_reachLimit = TimeSpan.FromSeconds(5);

    /// <summary>Of five kills at a point two meet the caller, two its callee, one a callee that calls.</summary>
    private static readonly Victim[] s_turns = [Victim.Caller, Victim.Peer, Victim.Caller, Victim.Peer, Victim.Callee];

    private readonly Random _random = TortureMessage.RandomOf(options.Seed, 2);

    /// <summary>A point that was not reached in time is tried again, up to so many times for each kill wanted.</summary>
    private const int TriesPerKill = 3;

    public List<PointResult> Results { get; } = [];

    /// <summary>Points with fewer kills than wanted.</summary>
    public IEnumerable<string> Missing() => Results.Where(r => r.Kills < options.PerPoint).Select(r => r.Point);

    /// <summary>All points there are.</summary>
    public static IEnumerable<string> Names() => NumbersOf(MachineCode.Assemble(inject: true)).Select(p => p.Name);

    private static IEnumerable<(string Name, int Number)> NumbersOf(MachineCode code) =>
        [.. code.Points.Select((p, i) => (p, i)), .. code.KillPoints.Select((p, i) => (p, FamilyHeader.PointCapacity + i))];

    public void Run(Action<double> progress)
    {
        string[] only = options.OnlyPoint.Split(',', StringSplitOptions.RemoveEmptyEntries);
        List<(string Name, int Number)> points = [.. NumbersOf(Family.GetOrCreate().Code).Where(p => only.Length == 0 || only.Contains(p.Name))];
        Results.AddRange(points.Select(p => new PointResult(p.Name)));
        for (int round = 0; round < TriesPerKill * options.PerPoint && Missing().Any(); round++)
        {
            foreach ((string name, int number) in points)
            {
                PointResult r = Results.First(r => r.Point == name);
                if (r.Kills < options.PerPoint && !family.Failed)
                {
                    KillAt(name, number, r, round);
                    progress(Results.Sum(r => r.Kills) / (double)(points.Count * options.PerPoint));
                }
            }
        }
    }

    private void KillAt(string name, int number, PointResult result, int round)
    {
        Victim victim = result.IsHome ? Victim.Callee : s_turns[round % s_turns.Length];
        victim = victim == Victim.Peer && !result.HasPeer ? Victim.Caller : victim;
        if (Arm(number, victim) is not { } m)
        {
            return;
        }

        if (Await(m))
        {
            result[victim]++;
        }
        else if (victim == Victim.Peer)
        {
            result.PeersNotReached++;
        }
        else
        {
            result.NotReached++;
        }
    }

    /// <returns>Who is to die.</returns>
    private TortureMember? Arm(int number, Victim victim)
    {
        for (; !family.Failed; Pace.BetweenLooks())
        {
            lock (family.Lock)
            {
                TortureMember? where = Any(victim == Victim.Callee), dies = victim == Victim.Peer ? Any(callee: true) : where;
                if (where is not null && dies is not null)
                {
                    dies.Permit(Permitted.Kill);
                    Volatile.Write(ref FamilyHeader.At->KillWord, FamilyHeader.KillWordOf(where.Slot, number, dies == where ? -1 : dies.Slot));
                    return dies;
                }
            }
        }

        return null;
    }

    private TortureMember? Any(bool callee)
    {
        TortureMember[] some = [.. family.Members.Where(m => m.IsCallee == callee && m.IsReady)];
        return some.Length == 0 ? null : some[_random.Next(some.Length)];
    }

    /// <returns>Whether it was killed; if not, it no longer will be.</returns>
    private bool Await(TortureMember m)
    {
        for (long begin = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(begin) < s_reachLimit && !family.Failed; Pace.BetweenLooks())
        {
            if (Volatile.Read(ref FamilyHeader.At->KillWord) == 0)
            {
                return true;
            }
        }

        lock (family.Lock)
        {
            uint word = Volatile.Read(ref FamilyHeader.At->KillWord);
            if (word != 0 && Interlocked.CompareExchange(ref FamilyHeader.At->KillWord, 0, word) == word)
            {
                m.Spare();
                return false;
            }

            return true;
        }
    }
}
