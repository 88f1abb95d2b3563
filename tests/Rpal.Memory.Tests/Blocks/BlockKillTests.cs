using Rpal.Linux;
using Rpal.Memory.Blocks;
using Rpal.Memory.Segments;
using Rpal.Memory.Tests.PerCpu;
using Rpal.MemoryPeer.Roles;

namespace Rpal.Memory.Tests.Blocks;

/// <summary>A process is killed between any two steps: afterwards every block is there, once.</summary>
/// <remarks>With RPAL_LONG=1 each point is tried at ten counts instead of one.</remarks>
public sealed class BlockKillTests
{
    private const int Blocks = 24;

    /// <summary>Of a process that SIGKILL ended.</summary>
    private const int KilledCode = 128 + Signal.SIGKILL;

    private static readonly bool s_long = Long.IsWanted;

    private static int[] Counts => s_long ? [1, 2, 3, 7, 20, 50, 100, 333, 1000, 5000] : [50];

    [Theory]
    [InlineData(KillPoint.PoolPopped)]
    [InlineData(KillPoint.PoolClaimed)]
    [InlineData(KillPoint.PoolReleasing)]
    [InlineData(KillPoint.PoolPushed)]
    [InlineData(KillPoint.PoolOffered)]
    [InlineData(KillPoint.PoolAccepted)]
    [InlineData(KillPoint.PoolChaining)]
    internal void A_kill_beside_one_other_process_loses_no_block(KillPoint point) => KillBesideOne(point);

    [SectionsTheory]
    [InlineData(KillPoint.PoolLanePopped)]
    [InlineData(KillPoint.PoolVisiting)]
    [InlineData(KillPoint.PoolRaided)]
    internal void A_kill_at_a_lane_beside_one_other_process_loses_no_block(KillPoint point) => KillBesideOne(point);

    private static void KillBesideOne(KillPoint point)
    {
        foreach (int count in Counts)
        {
            using Segment segment = Pools.Make(Blocks, 64, point == KillPoint.PoolPopped ? 0 : 2, out BlockPool pool);
            using PeerProcess doomed = IsRaid(point) ? PeerProcess.StartDoomed((int)point, count, "pool-raid", "1000000000") : PeerProcess.StartDoomed((int)point, count, "pool-churn", "1000000000", "2");
            doomed.Send(segment);
            ChurnUntil(doomed, segment, pool);
            AssertDiedThere(doomed);
            Settle(segment, pool);
        }
    }

    [Theory]
    [InlineData(KillPoint.PoolPopped)]
    [InlineData(KillPoint.PoolClaimed)]
    [InlineData(KillPoint.PoolReleasing)]
    [InlineData(KillPoint.PoolPushed)]
    [InlineData(KillPoint.PoolOffered)]
    [InlineData(KillPoint.PoolAccepted)]
    [InlineData(KillPoint.PoolChaining)]
    internal void A_kill_among_four_processes_loses_no_block(KillPoint point) => KillAmongFour(point, Counts, "RPAL_PERCPU=atomics", caches: 2);      // one without sections

    /// <summary>It has to meet another's free between its two steps: all are on one list, and it dies the first time.</summary>
    [Fact]
    public void A_kill_after_another_s_step_was_done_among_four_processes_loses_no_block() => KillAmongFour(KillPoint.PoolHelped, [1], "", caches: 0);

    [SectionsTheory]
    [InlineData(KillPoint.PoolLanePopped)]
    [InlineData(KillPoint.PoolVisiting)]
    [InlineData(KillPoint.PoolRaided)]
    internal void A_kill_at_a_lane_among_four_processes_loses_no_block(KillPoint point) => KillAmongFour(point, Counts, "", caches: 2);

    private static void KillAmongFour(KillPoint point, int[] counts, string setting, int caches)
    {
        foreach (int count in counts)
        {
            using Segment segment = Pools.Make(Blocks, 64, caches, out BlockPool pool);
            using var first = PeerProcess.Start("pool-churn", "100000", "1");
            using var second = PeerProcess.StartWith(setting, "pool-churn", "100000", "2");
            using PeerProcess doomed = PeerProcess.StartDoomed((int)point, count, IsRaid(point) ? "pool-raid" : "pool-churn", "1000000000", "1");
            foreach (PeerProcess peer in (PeerProcess[])[first, second, doomed])
            {
                peer.Send(segment);
            }

            ChurnUntil(doomed, segment, pool);
            AssertDiedThere(doomed);
            first.WaitFor("done");
            second.WaitFor("done");
            Assert.Equal(0, first.WaitForExit(PeerProcess.Patience));
            Assert.Equal(0, second.WaitForExit(PeerProcess.Patience));
            Settle(segment, pool);
        }
    }

    /// <summary>One of four is dead, the next takes its number and dies while it recovers; the other two and this one allocate and free meanwhile.</summary>
    /// <remarks>There are so many blocks that nobody finds none: then who allocates would recover as well.</remarks>
    [Theory]
    [InlineData(KillPoint.PoolRecovering, 1)]
    [InlineData(KillPoint.PoolEmptied, 10)]
    [InlineData(KillPoint.PoolReturning, 1)]
    [InlineData(KillPoint.PoolReturning, 30)]
    [InlineData(KillPoint.PoolOrphaned, 1)]
    internal void A_kill_of_the_one_of_four_that_recovers_loses_no_block(KillPoint point, int count)
    {
        const int many = 1000, offered = 300;
        using Segment segment = Pools.Make(many, 64, 2, out BlockPool pool);
        using var first = PeerProcess.Start("pool-churn", "1000000000", "1");
        using var second = PeerProcess.StartWith("RPAL_PERCPU=atomics", "pool-churn", "1000000000", "2");
        first.Send(segment);
        second.Send(segment);
        using var stop = new CancellationTokenSource();
        TestThread ours = TestThread.Start(() =>
        {
            for (int seed = 0; !stop.IsCancellationRequested; seed++)
            {
                BlockChurn.Run(pool, segment.Self, 2000, seed % 100);
            }
        });
        bool isOrphan = point == KillPoint.PoolOrphaned;
        using (PeerProcess dead = isOrphan ? PeerProcess.Start("pool-offer", $"{offered}", $"{segment.Self.Generation}") : PeerProcess.StartDoomed((int)KillPoint.PoolClaimed, 50, "pool-churn", "1000000000", "1"))
        {
            dead.Send(segment);
            if (isOrphan)
            {
                dead.WaitFor("offered Done");
                dead.Kill();
            }

            AssertDiedThere(dead);
        }

        using (var doomed = PeerProcess.StartDoomed((int)point, count, "pool-sweep"))
        {
            Assert.Throws<SegmentException>(() => doomed.Send(segment));         // it died while it opened the segment
            AssertDiedThere(doomed);
        }

        stop.Cancel();
        ours.Join(PeerProcess.Patience);
        foreach (PeerProcess peer in (PeerProcess[])[first, second])
        {
            peer.Kill();                                         // wherever it is just now
            AssertDiedThere(peer);                               // not before, of a block that was another's too
        }

        segment.Sweep();
        Assert.Equal(0u, Recovering(pool));
        Assert.Equal(isOrphan ? offered / 64 + 1 + 1 : 0, pool.FreeOrphans(new Memory.Parties.Party(3, 1)));
        Pools.AssertWhole(pool);
    }

    /// <summary>The next process takes the dead one's number, and gives its blocks back before it does anything else; there it is killed as well.</summary>
    [Theory]
    [InlineData(KillPoint.PoolRecovering, 1)]
    [InlineData(KillPoint.PoolHelped, 1)]
    [InlineData(KillPoint.PoolEmptied, 1)]
    [InlineData(KillPoint.PoolEmptied, 10)]
    [InlineData(KillPoint.PoolReturning, 1)]
    [InlineData(KillPoint.PoolReturning, Blocks)]
    [InlineData(KillPoint.PoolReleasing, 5)]
    [InlineData(KillPoint.PoolPushed, 5)]
    [InlineData(KillPoint.PoolOrphaned, 1)]
    internal void A_kill_of_the_process_that_recovers_loses_no_block(KillPoint point, int count)
    {
        // Only a tagged list has blocks whose last step another does: what is on a lane is left as it is until it is popped.
        using Segment segment = Pools.Make(Blocks, 64, 2, out BlockPool pool, sections: point != KillPoint.PoolHelped);
        using (PeerProcess first = point == KillPoint.PoolOrphaned ? PeerProcess.Start("pool-offer", "300", $"{segment.Self.Generation}") : PeerProcess.StartDoomed((int)KillPoint.PoolPushed, 20, "pool-churn", "1000000000", "1"))
        {
            first.Send(segment);
            if (point == KillPoint.PoolOrphaned)
            {
                first.WaitFor("offered Done");
                first.Kill();
            }

            AssertDiedThere(first);
        }

        using (var doomed = PeerProcess.StartDoomed((int)point, count, "pool-sweep"))
        {
            Assert.Throws<SegmentException>(() => doomed.Send(segment));         // it died while it opened the segment
            AssertDiedThere(doomed);
        }

        if (point == KillPoint.PoolRecovering)
        {
            List<Block> some = [];
            while (some.Count < Blocks && pool.TryAllocate(out Block block) == BlockStatus.Done)
            {
                some.Add(block);                                  // allocations find the dead recoverer's traces, and do it themselves
            }

            Assert.Equal(Blocks, some.Count);
            some.ForEach(b => Assert.Equal(BlockStatus.Done, pool.Free(b)));
        }

        segment.Sweep();
        Assert.Equal(0u, Recovering(pool));
        if (point == KillPoint.PoolOrphaned)
        {
            Assert.Equal(300 / 64 + 1 + 1, Blocks - pool.GetStatistics().Free);
            Assert.Equal(300 / 64 + 1 + 1, pool.FreeOrphans(new Memory.Parties.Party(1, 1)));
        }

        Pools.AssertWhole(pool);
    }

    [Fact]
    public void An_allocation_that_finds_nothing_gives_a_dead_process_s_blocks_back()
    {
        using Segment segment = Pools.Make(Blocks, 64, 2, out BlockPool pool);
        using var peer = PeerProcess.Start("pool-hold", $"{Blocks}");
        peer.Send(segment);
        peer.WaitFor("holding");
        Assert.Equal(BlockStatus.Exhausted, pool.TryAllocate(out _));
        peer.Kill();
        BlockStatus status = BlockStatus.Exhausted;
        for (long until = Environment.TickCount64 + (long)PeerProcess.Patience.TotalMilliseconds; status == BlockStatus.Exhausted && Environment.TickCount64 < until;)
        {
            status = pool.TryAllocate(out Block block);          // looks for the dead only now and then
            Assert.True(status != BlockStatus.Done || pool.Free(block) == BlockStatus.Done);
        }

        Pools.AssertWhole(pool);
        Assert.Equal(Blocks, pool.GetStatistics().Recovered);
    }

    [Fact]
    public void A_message_is_delivered_after_its_sender_s_death()
    {
        using Segment segment = Pools.Make(Blocks, 64, 2, out BlockPool pool);
        using var peer = PeerProcess.Start("pool-offer", "1000", $"{segment.Self.Generation}");
        peer.Send(segment);
        string[] words = peer.WaitFor("offered Done").Split(' ');
        peer.Kill();
        Assert.Equal(1, segment.Sweep());
        var reference = new BlockReference { First = uint.Parse(words[2]), Sequence = uint.Parse(words[3]), LengthBytes = long.Parse(words[4]) };
        Assert.Equal(BlockStatus.Done, pool.TryAcceptChain(reference, out BlockChain? chain));
        byte[] bytes = new byte[2000];
        Assert.Equal(1000, chain!.CopyTo(bytes));
        Assert.All(bytes.Take(1000).Index(), b => Assert.Equal(b.Index % 251, b.Item));
        Assert.Equal(BlockStatus.Done, chain.Free());
        Pools.AssertWhole(pool);
    }

    private static bool IsRaid(KillPoint point) => point is KillPoint.PoolVisiting or KillPoint.PoolRaided;

    private static void ChurnUntil(PeerProcess doomed, Segment segment, BlockPool pool)
    {
        long until = Environment.TickCount64 + (long)PeerProcess.Patience.TotalMilliseconds;
        for (int seed = 0; !doomed.HasExited && Environment.TickCount64 < until; seed++)
        {
            BlockChurn.Run(pool, segment.Self, 2000, seed % 100);
        }
    }

    /// <summary>By SIGKILL: of a failure, or of having come to its end, it would have another code.</summary>
    private static void AssertDiedThere(PeerProcess doomed)
    {
        int code = doomed.WaitForExit(PeerProcess.Patience);
        Assert.True(code == KilledCode, $"It ended with {code}, not at its point. It printed:\n{doomed}");
    }

    private static void Settle(Segment segment, BlockPool pool)
    {
        segment.Sweep();                                         // nothing to do if an allocation has done it
        Pools.AssertWhole(pool);
    }

    private static unsafe uint Recovering(BlockPool pool) => pool.Memory.Header->Recovering;
}
