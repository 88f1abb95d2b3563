using Rpal.Linux;
using Rpal.Memory.Blocks;
using Rpal.Memory.PerCpu;
using Rpal.Memory.Segments;
using Rpal.Memory.Tests.PerCpu;
using Rpal.Memory.Tests.Waiting;

namespace Rpal.Memory.Tests.Blocks;

/// <summary>CPUs' lists that only sections change: their bound, how others get at them, and processes that cannot.</summary>
public sealed unsafe class BlockLaneTests
{
    private const int Blocks = 24, Caches = 2;

    private static readonly string s_without = $"{PerCpuSections.Variable}=atomics";

    /// <summary>Threads that move between CPUs and are signalled all the time, in processes with and without sections: afterwards each block is there once.</summary>
    [Theory]
    [InlineData("")]
    [InlineData("", "")]
    [InlineData("", "RPAL_PERCPU=atomics")]
    [InlineData("RPAL_PERCPU=atomics", "GLIBC_TUNABLES=glibc.pthread.rseq=0")]
    [InlineData("", "", "", "RPAL_PERCPU=atomics")]
    public void Moved_and_signalled_processes_lose_and_double_no_block(params string[] settings)
    {
        using Segment segment = Pools.Make(Blocks, 64, Caches, out BlockPool pool);
        PeerProcess[] peers = [.. settings.Select(s => PeerProcess.StartWith(s, "pool-storm", $"{Long.Choose(1500, 45_000)}", "3"))];
        try
        {
            Array.ForEach(peers, p => p.Send(segment));
            Assert.All(peers, p => Assert.Equal(0, p.WaitForExit(PeerProcess.Patience)));
            Assert.All(peers, p => Assert.DoesNotContain(" rounds 0 ", p.ToString(), StringComparison.Ordinal));
        }
        finally
        {
            Array.ForEach(peers, p => p.Dispose());
        }

        Pools.AssertWhole(pool);
    }

    [SectionsFact]
    public void A_CPU_keeps_its_share_and_the_rest_goes_where_all_look()
    {
        using Segment segment = Pools.Make(Blocks, 64, Caches, out BlockPool pool);
        Block[] all = new Block[Blocks];
        Assert.All(Enumerable.Range(0, Blocks), i => Assert.Equal(BlockStatus.Done, pool.TryAllocate(out all[i])));
        foreach (int cpu in Cpus())
        {
            On(cpu, () => Assert.All(all.Skip(cpu * Blocks / Caches).Take(Blocks / Caches), b => Assert.Equal(BlockStatus.Done, pool.Free(b))));
            Assert.Equal((uint)Blocks / BlockLanes.StockShare / Caches, BlockLanes.Length(pool.Memory, (uint)cpu));
        }

        BlockPoolStatistics statistics = pool.GetStatistics();
        Assert.Equal((Cpus().Count() * Blocks / Caches, (long)Blocks), (statistics.Free, statistics.Allocations));
    }

    /// <summary>What a process has left on another CPU's list is found by an allocation, and by a recovery.</summary>
    [SectionsTheory]
    [InlineData(false)]
    [InlineData(true)]
    public void Blocks_on_another_CPU_are_found(bool recover)
    {
        using Segment segment = Pools.Make(Blocks, 64, Caches, out BlockPool pool);
        using (var peer = PeerProcess.Start("pool-raid", "3"))
        {
            peer.Send(segment);
            Assert.Equal(0, peer.WaitForExit(PeerProcess.Patience));                 // the last thing that it did was on the last CPU
        }

        On(Cpus().First(), () =>
        {
            if (recover)
            {
                segment.Recover(9);
                Assert.All(Enumerable.Range(0, Caches), c => Assert.True(BlockLanes.IsEmpty(pool.Memory, (uint)c)));
            }

            Pools.AssertWhole(pool);
        });
    }

    [SectionsTheory]
    [InlineData(Blocks + 1UL)]
    [InlineData(0xFFFF_FFFFUL)]
    [InlineData(ulong.MaxValue)]
    [InlineData(0x7FFF_FFFF_0000_0000UL)]                        // and the number of a block that is in use
    public void A_lane_that_makes_no_sense_is_not_followed_and_recovery_makes_it_good(ulong head)
    {
        using Segment segment = Pools.Make(Blocks, 64, Caches, out BlockPool pool);
        On(Cpus().First(), () =>
        {
            Assert.Equal(BlockStatus.Done, pool.TryAllocate(out Block block));
            head += (uint)head == 0 ? (uint)block.Index + 1 : 0u;
            for (uint cpu = 0; cpu < Caches; cpu++)
            {
                *pool.Memory.Lane(cpu) = head;
            }

            Assert.Equal(BlockStatus.Corrupt, pool.TryAllocate(out _));
            Assert.Equal(BlockStatus.Done, pool.Free(block));
            segment.Recover(9);
            Pools.AssertWhole(pool, refusals: true);
        });
    }

    /// <summary>It may die in a moment in which a block is Free on no list, and its like recover it, who cannot look at the lanes.</summary>
    [SectionsTheory]
    [InlineData(KillPoint.PoolPopped)]
    [InlineData(KillPoint.PoolReleasing)]
    internal void What_a_recovery_without_sections_cannot_tell_a_later_one_finds(KillPoint point)
    {
        using Segment segment = Pools.Make(Blocks, 64, Caches, out BlockPool pool);
        using (var doomed = PeerProcess.StartDoomed((int)point, 3, "pool-churn", "1000000", "1"))
        {
            doomed.Send(segment);
            Assert.Equal(137, doomed.WaitForExit(PeerProcess.Patience));
        }

        On(Cpus().First(), () =>
        {
            Assert.Equal(BlockStatus.Done, pool.TryAllocate(out Block block));
            Assert.Equal(BlockStatus.Done, pool.Free(block));    // at least this one is on a lane now
        });
        using (var without = PeerProcess.StartWith(s_without, "pool-sweep"))
        {
            without.Send(segment);
            Assert.Equal(0, without.WaitForExit(PeerProcess.Patience));  // took the dead one's number, and recovered what it could
        }

        Assert.NotEqual(0u, pool.Memory.Header->Unfinished);
        Pools.AssertWhole(pool);
        Assert.Equal(0u, pool.Memory.Header->Unfinished);
    }

    [SectionsFact]
    public void Where_one_process_has_no_sections_nobody_puts_blocks_onto_lanes()
    {
        using Segment segment = Pools.Make(Blocks, 64, Caches, out BlockPool pool);
        Pools.AssertWhole(pool);
        using var without = PeerProcess.StartWith(s_without, "pool-churn", "100", "1");
        without.Send(segment);
        Assert.Equal(0, without.WaitForExit(PeerProcess.Patience));
        Pools.AssertWhole(pool);
        Assert.All(Enumerable.Range(0, Caches), c => Assert.True(BlockLanes.IsEmpty(pool.Memory, (uint)c)));
        Assert.Equal(1u, pool.Memory.Header->LockedOnly);
    }

    private static IEnumerable<int> Cpus()
    {
        _ = Sys.SchedGetAffinity(0, out ulong all);
        return Enumerable.Range(0, Caches).Where(c => (all >> c & 1) != 0);
    }

    /// <summary>On a thread of its own, which ends.</summary>
    private static void On(int cpu, Action action)
    {
        TestThread.Start(() =>
        {
            Assert.Equal(0, Sys.SchedSetAffinity(0, 1UL << cpu));
            action();
        }).Join(PeerProcess.Patience);
    }
}
