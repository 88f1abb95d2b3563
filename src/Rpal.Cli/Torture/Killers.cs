using System.Diagnostics;
using Rpal.Hosting;
using Rpal.Machine.Blocks;
using Rpal.Machine.Emit;

namespace Rpal.Cli.Torture;

/// <summary>Kills from outside, at random instants: a callee, a caller, a callee, ...</summary>
internal sealed class RandomKiller(TortureFamily family, ulong seed)
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
            TortureMember[] some = [.. family.Members.Where(m => m.IsCallee == callee && m.Pid != 0 && m.Permitted == Permitted.Nothing && (starting || m.IsReady))];
            if (some.Length == 0)
            {
                return false;
            }

            some[_random.Next(some.Length)].Kill();
            return true;
        }
    }
}

/// <summary>What became of the kills at one point.</summary>
internal sealed record PointResult(string Point)
{
    public int Callees { get; set; }

    public int Callers { get; set; }

    public int NotReached { get; set; }

    public int Kills => Callees + Callers;
}

/// <summary>Kills at the numbered points of the machine code: a member kills itself where the header's word says.</summary>
internal sealed unsafe class PointKiller(TortureFamily family, TortureOptions options)
{
    private static readonly TimeSpan s_reachLimit = TimeSpan.FromSeconds(5);

    /// <summary>One try in so many has a callee die as the sender of a nested call.</summary>
    private const int OtherRoleShare = 4;

    private readonly Random _random = TortureMessage.RandomOf(options.Seed, 2);

    /// <summary>A point that was not reached in time is tried again, up to so many times for each kill wanted.</summary>
    private const int TriesPerKill = 3;

    public List<PointResult> Results { get; } = [];

    /// <summary>Points with fewer kills than wanted.</summary>
    public IEnumerable<string> Missing() => Results.Where(r => r.Kills < options.PerPoint).Select(r => r.Point);

    public void Run(Action<double> progress)
    {
        MachineCode code = Family.GetOrCreate().Code;
        List<(string Name, int Number)> points = [.. code.Points.Select((p, i) => (p, i)), .. code.KillPoints.Select((p, i) => (p, FamilyHeader.PointCapacity + i))];
        points = options.OnlyPoint.Length == 0 ? points : [.. points.Where(p => options.OnlyPoint.Split(',').Contains(p.Name))];
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
        bool home = name.StartsWith("park", StringComparison.Ordinal) || name.StartsWith("home", StringComparison.Ordinal);
        bool callee = home || round % OtherRoleShare == OtherRoleShare - 1;
        TortureMember m = Arm(number, callee);
        if (!Await(m))
        {
            result.NotReached++;
        }
        else if (callee)
        {
            result.Callees++;
        }
        else
        {
            result.Callers++;
        }
    }

    private TortureMember Arm(int number, bool callee)
    {
        while (!family.Failed)
        {
            lock (family.Lock)
            {
                TortureMember[] some = [.. family.Members.Where(m => m.IsCallee == callee && m.IsReady)];
                if (some.Length > 0)
                {
                    TortureMember m = some[_random.Next(some.Length)];
                    m.Permit(Permitted.Kill);
                    Volatile.Write(ref FamilyHeader.At->KillWord, (uint)(m.Slot + 1 << FamilyHeader.KillWordMemberShift | number + 1));
                    return m;
                }
            }

            Pace.BetweenLooks();
        }

        return family.Members[0];
    }

    /// <returns>Whether it killed itself; if not, it is no longer asked to.</returns>
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
                m.Permitted = m.Permitted == Permitted.Kill ? Permitted.Nothing : m.Permitted;
                return false;
            }

            return true;
        }
    }
}
