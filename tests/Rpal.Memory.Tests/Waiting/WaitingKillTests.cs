using Rpal.Memory.Segments;
using Rpal.Memory.Waiting;

namespace Rpal.Memory.Tests.Waiting;

/// <summary>
/// Of two and of four processes one is killed at each numbered point of waiting: that it was reached is seen from how it ended, since nobody else kills it. No token and no
/// wake-up of the others is lost with it.
/// </summary>
public sealed unsafe class WaitingKillTests
{
    private const int Killed = 128 + 9;

    /// <summary>All of them, so that a new one without a test fails.</summary>
    public static TheoryData<int, int> Points
    {
        get
        {
            var points = new TheoryData<int, int>();
            foreach (int point in Enum.GetValues<KillPoint>().Select(p => (int)p).Where(p => p is >= 41 and <= 59))
            {
                points.Add(point, 2);
                points.Add(point, 4);
            }

            return points;
        }
    }

    [Theory]
    [MemberData(nameof(Points))]
    public void Nobody_else_loses_anything_when_a_process_is_killed(int point, int processes)
    {
        switch ((KillPoint)point)
        {
            case KillPoint.WaitAnnounced or KillPoint.WaitWoken:
                Move(point, count: 1, processes, lost: 0);
                break;
            case KillPoint.WaitTaken:
                Move(point, count: 1, processes, lost: 1);
                break;
            case KillPoint.ReleaseCounted or KillPoint.ReleaseWoken:
                Move(point, count: 1, processes, lost: 0);
                Move(point, count: 7, processes, lost: 0);
                Feed(point, count: 1, processes);
                Feed(point, count: 20, processes);
                break;
            case KillPoint.RingBell or KillPoint.RingSummary or KillPoint.RingWake:
                Feed(point, count: 1, processes);
                Feed(point, count: 20, processes);
                break;
            case KillPoint.SetParked or KillPoint.SetWoken or KillPoint.SetBellsTaken:
                WaitInSet(point, "set-take", processes);
                break;
            case KillPoint.SeatClaimed or KillPoint.LinkWritten or KillPoint.LinkMasked:
                WaitInSet(point, "set-churn", processes);
                break;
            case KillPoint.RecoverCleared:
                Recover(processes);
                break;
            default:
                Assert.Fail($"no test goes to point {point}");
                break;
        }
    }

    /// <summary>One waits for any of two and is killed when it was woken, and has taken nothing: another that waits for one of them gets the token.</summary>
    [Fact]
    public void A_killed_waiter_for_any_leaves_its_wake_up_to_others()
    {
        using var segment = Segment.Create(Segment.LeastBytes);
        SharedSemaphore[] s = SharedSemaphore.CreateMany(segment, 2);
        using var doomed = PeerProcess.StartDoomed((int)KillPoint.WaitWoken, 1, "sem-any");
        doomed.Send(segment);
        doomed.WaitFor("ready");
        SharedSemaphoreTests.WaitUntil(() => s[1].Block->Waiting == 0b10);
        using var sleeper = PeerProcess.Start("sem-sleep", "1");
        sleeper.Send(segment);
        sleeper.WaitFor("ready");
        SharedSemaphoreTests.WaitUntil(() => s[1].Block->Waiting == 0b110);
        s[1].Release();
        sleeper.WaitFor("took 1");
        for (int i = 0; !HasExited(doomed) && i < 60_000; i++)
        {
            s[0].Release();                                      // if the other was woken first
            Thread.Sleep(1);
        }

        Assert.Equal(Killed, doomed.WaitForExit(PeerProcess.Patience));
    }

    /// <summary>Also while nobody has waited for it yet; its entry may go at any moment.</summary>
    internal static bool HasExited(PeerProcess peer)
    {
        try
        {
            return File.ReadAllText($"/proc/{peer.Pid}/stat").Contains(") Z ", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return true;
        }
    }

    /// <summary>Processes move three tokens to and fro. Only a token that the dead one had taken is lost.</summary>
    private static void Move(int point, int count, int processes, int lost)
    {
        const int tokens = 3;
        int others = processes - 1;
        using var segment = Segment.Create(Segment.LeastBytes);
        SharedSemaphore[] s = SharedSemaphore.CreateMany(segment, 2);
        PeerProcess[] living = [.. Enumerable.Range(0, others).Select(_ => PeerProcess.Start("sem-move", "2000"))];
        using var doomed = PeerProcess.StartDoomed(point, count, "sem-move", "1000000000");
        foreach (PeerProcess p in living.Append(doomed))
        {
            p.Send(segment);
            p.WaitFor("ready");
        }

        // It is announced, so that its next token comes through the sleeping way. Later ones may not.
        SharedSemaphoreTests.WaitUntil(() => (s[0].Block->Waiting & 1u << others + 1) != 0);
        s[0].Release(tokens);
        foreach (PeerProcess p in living)
        {
            Assert.True(p.WaitForExit(PeerProcess.Patience) == 0, p.ToString());
            p.Dispose();
        }

        // Alone and with tokens it would never sleep again: they are taken away until it does, and given back so that it wakes.
        uint drained = 0;
        for (long until = Environment.TickCount64 + 60_000; point <= (int)KillPoint.WaitTaken && !HasExited(doomed) && Environment.TickCount64 < until; Thread.Sleep(1))
        {
            drained += s.Aggregate(0u, (n, one) => n + (one.TryWait() == WaitStatus.Acquired ? 1u : 0));
            SharedSemaphore? awaited = Array.Find(s, one => one.Block->Waiting != 0);
            drained -= drained > 0 && awaited?.Release() == ReleaseStatus.Released ? 1u : 0;
        }

        Assert.Equal(Killed, doomed.WaitForExit(PeerProcess.Patience));
        segment.Sweep();
        Assert.Equal((uint)(tokens - lost), drained + s[0].Count + s[1].Count);
        Assert.Equal(0u, s[0].Block->Waiting | s[1].Block->Waiting);
    }

    /// <summary>A releaser of a set's members is killed. Nobody sweeps until all has arrived.</summary>
    private static void Feed(int point, int count, int processes)
    {
        const int tokens = 20_000;
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore[] s = SharedSemaphore.CreateMany(segment, 100);
        using SemaphoreSet set = SetOf(segment, s, seats: 1);
        PeerProcess[] living = [.. Enumerable.Range(0, processes - 2).Select(i => PeerProcess.Start("set-feed", $"{tokens}", $"{i}"))];
        using var doomed = PeerProcess.StartDoomed(point, count, point == (int)KillPoint.RingWake ? "set-feed-parked" : "set-feed", "1000000000", "6");
        foreach (PeerProcess p in living.Append(doomed))
        {
            p.Send(segment);
            p.WaitFor("ready");
        }

        long taken = 0;
        long until = Environment.TickCount64 + (long)PeerProcess.Patience.TotalMilliseconds;
        for (bool exited = false; ;)
        {
            if (set.WaitAny(TimeSpan.FromMilliseconds(50), out _) == WaitStatus.Acquired)
            {
                taken++;
            }
            else if (exited && s.All(one => one.Count == 0))
            {
                break;
            }
            else
            {
                exited = HasExited(doomed) && living.All(HasExited);     // then one wait more, for what they released before
                Assert.True(Environment.TickCount64 < until, $"exited: {exited}, tokens left: {s.Sum(one => one.Count)}");
            }
        }

        Assert.Equal(Killed, doomed.WaitForExit(PeerProcess.Patience));
        foreach (PeerProcess p in living)
        {
            Assert.True(p.WaitForExit(PeerProcess.Patience) == 0, p.ToString());
            p.Dispose();
        }

        Assert.True(taken > living.Length * tokens, $"{taken} came");
        Assert.Equal(1, segment.Sweep());
    }

    /// <summary>A set's waiter is killed: the others get all tokens that are left, and its seat and links are free again.</summary>
    private static void WaitInSet(int point, string role, int processes)
    {
        const int othersTake = 50;
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore[] s = SharedSemaphore.CreateMany(segment, 50);
        using SemaphoreSet set = SetOf(segment, s, seats: processes);
        PeerProcess[] living = [.. Enumerable.Range(0, processes - 2).Select(_ => PeerProcess.Start("set-take", $"{othersTake}"))];
        foreach (PeerProcess p in living)
        {
            p.Send(segment);
            p.WaitFor("ready");
        }

        using var doomed = PeerProcess.StartDoomed(point, 1, role, "1000000000");
        doomed.Send(segment);
        for (int i = 0; !HasExited(doomed) || !living.All(HasExited); i++)
        {
            Assert.True(i < 60_000, doomed.ToString());
            s[i % 50].Release();
            Thread.Sleep(1);
        }

        Assert.Equal(Killed, doomed.WaitForExit(PeerProcess.Patience));
        foreach (PeerProcess p in living)
        {
            Assert.True(p.WaitForExit(PeerProcess.Patience) == 0, p.ToString());
            p.Dispose();
        }

        uint left = (uint)s.Sum(one => one.Count);
        int taken = 0;
        Assert.Equal(1, segment.Sweep());
        while (set.WaitAny(TimeSpan.Zero, out _) == WaitStatus.Acquired)
        {
            taken++;
        }

        Assert.Equal((int)left, taken);
        Assert.All(s, one => Assert.Equal((0ul, 1u), (one.Block->State, one.Block->LinkMask)));
        SemaphoreSet[] again = [.. Enumerable.Range(1, processes - 1).Select(_ => SemaphoreSet.Join(segment, 1))];
        Array.ForEach(again, one => one.Dispose());
    }

    /// <summary>One dies in its sleep, one while it owes another a wake-up, and whoever clears them away dies in the middle of it.</summary>
    private static void Recover(int processes)
    {
        using var segment = Segment.Create(Segment.LeastBytes);
        SharedSemaphore[] s = SharedSemaphore.CreateMany(segment, 2);
        using var asleep = PeerProcess.Start("sem-sleep", "1");
        asleep.Send(segment);
        asleep.WaitFor("ready");
        SharedSemaphoreTests.WaitUntil(() => s[1].Block->Waiting == 0b10);
        asleep.Kill();                                           // its bit stays, so that there is something to clear away
        PeerProcess[] living = [.. Enumerable.Range(0, processes).Select(_ => PeerProcess.Start("sem-sleep", "1"))];       // at least two: one bit is always there
        foreach (PeerProcess p in living)
        {
            p.Send(segment);                                     // the first of them clears it away by joining
            p.WaitFor("ready");
        }

        SharedSemaphoreTests.WaitUntil(() => System.Numerics.BitOperations.PopCount(s[1].Block->Waiting) == living.Length);
        using var debtor = PeerProcess.StartDoomed((int)KillPoint.ReleaseCounted, 1, "sem-move", "1");
        debtor.Send(segment);
        debtor.WaitFor("ready");
        s[0].Release();
        Assert.Equal(Killed, debtor.WaitForExit(PeerProcess.Patience));

        // Whoever opens the segment takes the first number that is free, and clears its last owner away.
        using var recoverer = PeerProcess.StartDoomed((int)KillPoint.RecoverCleared, 1, "sem-move", "1");
        Assert.Equal(SegmentError.TransferFailed, Assert.Throws<SegmentException>(() => recoverer.Send(segment)).Error);
        Assert.Equal(Killed, recoverer.WaitForExit(PeerProcess.Patience));
        SharedSemaphoreTests.WaitUntil(() => s[1].Count == 0);   // one of those that sleep has got it
        Assert.Equal(1, segment.Sweep());                        // the same number: the recoverer had died in its predecessor's place
        foreach (PeerProcess p in living)
        {
            p.Kill();
            p.Dispose();
        }

        Assert.Equal(living.Length, segment.Sweep());
        Assert.Equal(0ul, s[0].Block->State | s[1].Block->State);
    }

    private static SemaphoreSet SetOf(Segment segment, SharedSemaphore[] semaphores, int seats)
    {
        SemaphoreSet set = SemaphoreSet.Join(segment, SemaphoreSet.CreateSeats(segment, seats, semaphores.Length));
        Array.ForEach(semaphores, set.Add);
        return set;
    }
}
