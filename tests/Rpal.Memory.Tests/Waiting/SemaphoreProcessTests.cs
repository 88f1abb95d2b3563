using System.Runtime.Intrinsics.X86;
using Rpal.Memory.Segments;
using Rpal.Memory.Waiting;

namespace Rpal.Memory.Tests.Waiting;

/// <summary>Semaphores between processes, some of which are killed.</summary>
public sealed unsafe class SemaphoreProcessTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    /// <summary>Each round both sides may sleep, or just not. RPAL_LONG=1: ten million rounds.</summary>
    [Fact]
    public void No_wake_up_is_lost_between_two_processes()
    {
        int rounds = Long.Choose(60_000, 10_000_000);
        using var segment = Segment.Create(Segment.LeastBytes);
        SharedSemaphore[] s = SharedSemaphore.CreateMany(segment, 2);
        using var peer = PeerProcess.Start("sem-race", $"{rounds}");
        peer.Send(segment);
        peer.WaitFor("ready");
        var random = new Random(1);
        for (int i = 0; i < rounds; i++)
        {
            for (int pauses = random.Next(40); pauses > 0; pauses--)
            {
                X86Base.Pause();
            }

            Assert.Equal(ReleaseStatus.Released, s[0].Release());
            Assert.True(s[1].Wait(s_patience) == WaitStatus.Acquired, $"round {i} did not end: {s[0].Block->State:x} {s[1].Block->State:x}");
        }

        Assert.Equal(0, peer.WaitForExit(PeerProcess.Patience));
        Assert.Equal(0ul, s[0].Block->State | s[1].Block->State);
    }

    [Fact]
    public void One_that_dies_in_its_sleep_takes_no_wake_up_with_it_and_is_forgotten()
    {
        using var segment = Segment.Create(Segment.LeastBytes);
        SharedSemaphore s = SharedSemaphore.Create(segment);
        using var dying = PeerProcess.Start("sem-sleep", "0");
        using var living = PeerProcess.Start("sem-sleep", "0");
        foreach (PeerProcess p in (PeerProcess[])[dying, living])
        {
            p.Send(segment);
            p.WaitFor("ready");
        }

        SharedSemaphoreTests.WaitUntil(() => s.Block->Waiting == 0b110);
        dying.Kill();
        s.Release();
        living.WaitFor("took 1");
        SharedSemaphoreTests.WaitUntil(() => s.Block->Waiting == 0b110);      // it had taken its bit back before it said so, and sleeps again
        living.Kill();
        Assert.Equal(0b110u, s.Block->Waiting);

        // Nobody sweeps, but releases in vain find out.
        for (int i = 0; s.Block->Waiting != 0 && i < 1000; i++)
        {
            s.Release();
        }

        Assert.Equal(0u, s.Block->Waiting);
        Assert.Equal(2u, segment.Header->Recoveries);
    }

    /// <summary>The releaser was killed between the count and the wake-up: the sleeper looks by itself, or is woken by whoever sweeps.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_wake_up_that_a_dead_process_owed_is_made_good(bool sweep)
    {
        using var segment = Segment.Create(Segment.LeastBytes);
        SharedSemaphore[] s = SharedSemaphore.CreateMany(segment, 2);
        using var sleeper = PeerProcess.Start("sem-sleep", "1");
        sleeper.Send(segment);
        sleeper.WaitFor("ready");
        SharedSemaphoreTests.WaitUntil(() => s[1].Block->Waiting != 0);
        using var doomed = PeerProcess.StartDoomed((int)KillPoint.ReleaseCounted, 1, "sem-move", "1");
        doomed.Send(segment);
        doomed.WaitFor("ready");
        s[0].Release();
        doomed.WaitForExit(PeerProcess.Patience);
        if (sweep)
        {
            Assert.Equal(1, segment.Sweep());
        }

        sleeper.WaitFor("took 1");
    }

    /// <summary>A peer writes random words over semaphores and seats. RPAL_LONG=1: for a minute.</summary>
    [Fact]
    public void A_hostile_process_gets_nothing_but_statuses()
    {
        using var segment = Segment.Create(1 << 20);
        SharedSemaphore[] s = SharedSemaphore.CreateMany(segment, 100, limit: 100);
        int seats = SemaphoreSet.CreateSeats(segment, 4, 256);
        Part guard = segment.Add(PartKind.Bytes, 4096);
        using SemaphoreSet set = SemaphoreSet.Join(segment, seats);
        foreach (SharedSemaphore one in s)
        {
            set.Add(one);
        }

        using var hostile = PeerProcess.Start("sem-hostile");
        hostile.Send(segment);
        hostile.WaitFor("ready");
        var random = new Random(4);
        int[] seen = new int[8];
        for (long until = Environment.TickCount64 + Long.Choose(3_000, 60_000); Environment.TickCount64 < until;)
        {
            SharedSemaphore one = s[random.Next(s.Length)];
            switch (random.Next(6))
            {
                case 0: seen[(int)one.Release(1 + random.Next(3))]++; break;
                case 1: seen[3 + (int)one.TryWait()]++; break;
                case 2: seen[3 + (int)one.Wait(TimeSpan.FromMilliseconds(1))]++; break;
                case 3: seen[3 + (int)SharedSemaphore.WaitAny(s, TimeSpan.FromMilliseconds(1), out _)]++; break;
                case 4: seen[3 + (int)set.WaitAny(TimeSpan.FromMilliseconds(1), out _)]++; break;
                default:
                    try
                    {
                        set.Remove(one);
                        set.Add(one);
                        using SemaphoreSet other = SemaphoreSet.Join(segment, seats);
                    }
                    catch (SegmentException e)
                    {
                        Assert.Equal(SegmentError.Full, e.Error);
                    }

                    break;
            }
        }

        hostile.Kill();
        segment.Sweep();
        Assert.True(seen[(int)ReleaseStatus.Corrupt] > 0 && seen[3 + (int)WaitStatus.Corrupt] > 0 && s[0].CorruptCount > 0);
        Assert.Equal(-1, new ReadOnlySpan<byte>(guard.Address, (int)guard.LengthBytes).IndexOfAnyExcept((byte)0));
    }
}
