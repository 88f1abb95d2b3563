using System.Runtime.Intrinsics.X86;
using Rpal.Linux;
using Rpal.Memory.Segments;
using Rpal.Memory.Waiting;

namespace Rpal.MemoryPeer.Roles;

/// <summary>Semaphores as the other process sees them. Part 0 has the semaphores, part 1 the seats.</summary>
internal static unsafe class WaitingRoles
{
    public static void Add(Dictionary<string, Func<Peer, int>> roles)
    {
        roles.Add("sem-move", Move);
        roles.Add("sem-sleep", Sleep);
        roles.Add("sem-race", Race);
        roles.Add("sem-hostile", Hostile);
        roles.Add("set-take", Take);
        roles.Add("sem-any", Any);
        roles.Add("sem-quiet", Quiet);
        roles.Add("spin-budget", SpinBudget);
        roles.Add("set-feed", peer => Feed(peer, whenParked: false));
        roles.Add("set-feed-parked", peer => Feed(peer, whenParked: true));
        roles.Add("async-take", AsyncTakers.Run);
        roles.Add("set-churn", Churn);
    }

    /// <summary>Moves tokens from semaphore 0 to 1 and back. ROUNDS.</summary>
    private static int Move(Peer peer)
    {
        using Segment segment = peer.Receive(requireSharedAddress: false);
        SharedSemaphore a = SharedSemaphore.Open(segment, 0, 0), b = SharedSemaphore.Open(segment, 0, 1);
        Peer.Say("ready");
        for (int i = peer.Number(0); i > 0; i--)
        {
            Must(a.Wait(Peer.Patience));
            Must(b.Release());
            Must(b.Wait(Peer.Patience));
            Must(a.Release());
        }

        Peer.Say("done");
        return 0;
    }

    /// <summary>Waits for semaphore INDEX for ever, and takes again and again.</summary>
    private static int Sleep(Peer peer)
    {
        using Segment segment = peer.Receive(requireSharedAddress: false);
        SharedSemaphore s = SharedSemaphore.Open(segment, 0, peer.Number(0));
        Peer.Say("ready");
        for (int i = 1; ; i++)
        {
            Must(s.Wait(Timeout.InfiniteTimeSpan));
            Peer.Say($"took {i}");
        }
    }

    /// <summary>Answers each token of semaphore 0 with one of semaphore 1, after a moment that changes. ROUNDS.</summary>
    private static int Race(Peer peer)
    {
        using Segment segment = peer.Receive(requireSharedAddress: false);
        SharedSemaphore a = SharedSemaphore.Open(segment, 0, 0), b = SharedSemaphore.Open(segment, 0, 1);
        Peer.Say("ready");
        var random = new Random(2);
        for (int i = peer.Number(0); i > 0; i--)
        {
            Must(a.Wait(Peer.Patience));
            Must(b.Release());
            for (int pauses = random.Next(40); pauses > 0; pauses--)
            {
                X86Base.Pause();
            }
        }

        Peer.Say("done");
        return 0;
    }

    /// <summary>Writes random words over all parts but the last. It is killed.</summary>
    private static int Hostile(Peer peer)
    {
        Segment segment = peer.Receive(requireSharedAddress: false);
        var random = new Random(3);
        Part last = segment.Find(segment.PartCount - 1, PartKind.Bytes);
        var words = new Span<ulong>(segment.Address + Segment.HeaderBytes, (int)((last.Offset - Segment.HeaderBytes) / sizeof(ulong)));
        Peer.Say("ready");
        while (true)
        {
            for (int i = 0; i < 1000; i++)
            {
                words[random.Next(words.Length)] = random.Next(4) switch
                {
                    0 => (ulong)random.NextInt64(),
                    1 => (ulong)random.Next(4),
                    2 => ulong.MaxValue,
                    _ => 0,
                };
            }
        }
    }

    /// <summary>A set of all semaphores; says what it took in the end, or stays. TOKENS, or 0 for ever.</summary>
    private static int Take(Peer peer)
    {
        using Segment segment = peer.Receive(requireSharedAddress: false);
        using SemaphoreSet set = SetOfAll(segment);
        Peer.Say("ready");
        for (int left = peer.Number(0), taken = 0; left == 0 || taken < left; taken++)
        {
            Must(set.WaitAny(left == 0 ? Timeout.InfiniteTimeSpan : Peer.Patience, out _));
        }

        Peer.Say("done");
        return 0;
    }

    /// <summary>Waits for any of semaphores 0 and 1, again and again.</summary>
    private static int Any(Peer peer)
    {
        using Segment segment = peer.Receive(requireSharedAddress: false);
        SharedSemaphore[] both = [SharedSemaphore.Open(segment, 0, 0), SharedSemaphore.Open(segment, 0, 1)];
        Peer.Say("ready");
        while (true)
        {
            Must(SharedSemaphore.WaitAny(both, Timeout.InfiniteTimeSpan, out _));
        }
    }

    /// <summary>Releases semaphore 0 and takes from it in a thread that may make no system call: the first one ends this process (SIGSYS). ROUNDS.</summary>
    private static int Quiet(Peer peer)
    {
        using Segment segment = peer.Receive(requireSharedAddress: false);
        SharedSemaphore s = SharedSemaphore.Open(segment, 0, 0);
        int rounds = peer.Number(0);
        Must(s.Release());                                       // compiled, and all that happens once has happened
        _ = s.TryWait();                                         // a sleeper may have been quicker
        X86Base.Pause();
        Peer.Say("ready");
        var alone = new Thread(() =>
        {
            NoSystemCalls.Begin();
            for (int i = 0; i < rounds; i++)
            {
                if (s.Release() != ReleaseStatus.Released || i % 2 == 1 && s.TryWait() != WaitStatus.Acquired)
                {
                    break;
                }
            }

            NoSystemCalls.Say("quiet\n");
            while (true)
            {
                X86Base.Pause();                                 // even ending is a call
            }
        });
        alone.Start();
        return Peer.Stay();
    }

    /// <summary>How long it may spin with one CPU.</summary>
    private static int SpinBudget(Peer peer)
    {
        _ = Sys.SchedGetAffinity(0, out ulong mask);
        _ = Sys.SchedSetAffinity(0, mask & ~mask + 1);           // the lowest; of the first thread, which stands for the process
        Peer.Say($"budget {new AdaptiveWait().BudgetNs()}");
        return 0;
    }

    /// <summary>Releases semaphores by chance; or only while the waiter of a seat sleeps, or is about to. TOKENS, SEED.</summary>
    private static int Feed(Peer peer, bool whenParked)
    {
        using Segment segment = peer.Receive(requireSharedAddress: false);
        SharedSemaphore[] all = All(segment);
        var random = new Random(peer.Number(1));
        Peer.Say("ready");
        SetGeometry seats = SetGeometry.Read(segment.Find(1, PartKind.SemaphoreSet))!;
        for (int i = peer.Number(0); i > 0; i--)
        {
            while (whenParked && !Enumerable.Range(0, seats.SeatCount).Any(seat => Volatile.Read(ref seats.SeatAt(seat)->Parked) == 1))
            {
                Thread.Yield();
            }

            Must(all[random.Next(all.Length)].Release());
        }

        Peer.Say("done");
        return 0;
    }

    /// <summary>Joins and leaves with all semaphores. ROUNDS.</summary>
    private static int Churn(Peer peer)
    {
        using Segment segment = peer.Receive(requireSharedAddress: false);
        Peer.Say("ready");
        for (int i = peer.Number(0); i > 0; i--)
        {
            using SemaphoreSet set = SetOfAll(segment);
            set.Remove(SharedSemaphore.Open(segment, 0));
        }

        Peer.Say("done");
        return 0;
    }

    internal static SharedSemaphore[] All(Segment segment) =>
        [.. Enumerable.Range(0, (int)(segment.Find(0, PartKind.Semaphore).LengthBytes / SharedSemaphore.SizeBytes)).Select(i => SharedSemaphore.Open(segment, 0, i))];

    internal static SemaphoreSet SetOfAll(Segment segment)
    {
        SemaphoreSet set = SemaphoreSet.Join(segment, 1);
        foreach (SharedSemaphore s in All(segment))
        {
            set.Add(s);
        }

        return set;
    }

    private static void Must(WaitStatus status) => Must(status == WaitStatus.Acquired, status.ToString());

    private static void Must(ReleaseStatus status) => Must(status == ReleaseStatus.Released, status.ToString());

    private static void Must(bool condition, string status)
    {
        if (!condition)
        {
            throw new InvalidOperationException(status);
        }
    }
}
