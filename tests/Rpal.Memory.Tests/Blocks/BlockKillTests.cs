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
    private static readonly bool s_long = Environment.GetEnvironmentVariable("RPAL_LONG") == "1";

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
            Assert.Equal(137, doomed.WaitForExit());
            Settle(segment, pool);
        }
    }

    [Theory]
    [InlineData(KillPoint.PoolPopped)]
    [InlineData(KillPoint.PoolReleasing)]
    [InlineData(KillPoint.PoolPushed)]
    internal void A_kill_among_four_processes_loses_no_block(KillPoint point) => KillAmongFour(point, "RPAL_PERCPU=atomics");      // one without sections

    [SectionsTheory]
    [InlineData(KillPoint.PoolLanePopped)]
    [InlineData(KillPoint.PoolVisiting)]
    [InlineData(KillPoint.PoolRaided)]
    internal void A_kill_at_a_lane_among_four_processes_loses_no_block(KillPoint point) => KillAmongFour(point, "");

    private static void KillAmongFour(KillPoint point, string setting)
    {
        foreach (int count in Counts)
        {
            using Segment segment = Pools.Make(Blocks, 64, 2, out BlockPool pool);
            using var first = PeerProcess.Start("pool-churn", "100000", "1");
            using var second = PeerProcess.StartWith(setting, "pool-churn", "100000", "2");
            using PeerProcess doomed = PeerProcess.StartDoomed((int)point, count, IsRaid(point) ? "pool-raid" : "pool-churn", "1000000000", "1");
            foreach (PeerProcess peer in (PeerProcess[])[first, second, doomed])
            {
                peer.Send(segment);
            }

            ChurnUntil(doomed, segment, pool);
            first.WaitFor("done");
            second.WaitFor("done");
            Assert.Equal(137, doomed.WaitForExit());
            Assert.Equal(0, first.WaitForExit());
            Assert.Equal(0, second.WaitForExit());
            Settle(segment, pool);
        }
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

            first.WaitForExit();
        }

        using (var doomed = PeerProcess.StartDoomed((int)point, count, "pool-sweep"))
        {
            Assert.Throws<SegmentException>(() => doomed.Send(segment));         // it died while it opened the segment
            Assert.Equal(137, doomed.WaitForExit());
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

    private static void Settle(Segment segment, BlockPool pool)
    {
        segment.Sweep();                                         // nothing to do if an allocation has done it
        Pools.AssertWhole(pool);
    }

    private static unsafe uint Recovering(BlockPool pool) => pool.Memory.Header->Recovering;
}
