using FsCheck;
using FsCheck.Fluent;
using Rpal.Memory.Blocks;
using Rpal.Memory.Parties;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Tests.Blocks;

/// <summary>Any sequence of operations by two parties has the outcomes that a table of owners has.</summary>
public sealed class BlockModelTests
{
    private const int Blocks = 5, Parties = 2, Free = -1;

    [Fact]
    public void A_pool_behaves_as_a_table_of_owners() =>
        Prop.ForAll<int[]>(steps => Run(steps)).Check(Config.QuickThrowOnFailure.WithMaxTest(300).WithEndSize(150));

    /// <summary>Owner: <see cref="Free"/>, a party, or a party + <see cref="Parties"/> to whom it was offered.</summary>
    private static bool Run(int[] steps)
    {
        using Segment first = Pools.Make(Blocks, 64, steps.Length % 3, out BlockPool pool);
        using var second = Segment.Open(first.File);
        BlockPool[] pools = [pool, BlockPool.Open(second, 0)];
        Party[] parties = [first.Self, second.Self];
        int[] owner = [.. Enumerable.Repeat(Free, Blocks)];
        Block[] last = [.. Enumerable.Range(0, Blocks).Select(i => new Block(i, 0))];     // of its present life
        List<Block> old = [];                                    // of former lives
        foreach (int step in steps)
        {
            uint n = (uint)step;
            int me = (int)(n % Parties), i = (int)(n / 2 % Blocks), other = 1 - me;
            switch (n / 16 % 7)
            {
                case 0 or 1:
                    bool any = owner.Contains(Free);
                    Assert.Equal(any ? BlockStatus.Done : BlockStatus.Exhausted, pools[me].TryAllocate(out Block got));
                    if (any)
                    {
                        Assert.Equal(Free, owner[got.Index]);
                        Assert.DoesNotContain(got, old);
                        (owner[got.Index], last[got.Index]) = (me, got);
                    }

                    break;
                case 2:
                    BlockStatus freed = owner[i] == me ? BlockStatus.Done : owner[i] == Free ? BlockStatus.AlreadyFree : BlockStatus.NotOwned;
                    Assert.Equal(freed, pools[me].Free(last[i]));
                    if (freed == BlockStatus.Done)
                    {
                        old.Add(last[i]);
                        owner[i] = Free;
                    }

                    break;
                case 3:
                    BlockStatus offered = owner[i] == me ? BlockStatus.Done : owner[i] == Free ? BlockStatus.AlreadyFree : BlockStatus.NotOwned;
                    Assert.Equal(offered, pools[me].TryOffer(last[i], 7, parties[other], out BlockReference r));
                    Assert.Equal(offered == BlockStatus.Done ? (uint)i : 0, r.First);
                    owner[i] = offered == BlockStatus.Done ? other + Parties : owner[i];
                    break;
                case 4:
                    BlockStatus accepted = owner[i] == me + Parties ? BlockStatus.Done : owner[i] == Free || owner[i] == me ? BlockStatus.AlreadyFree : BlockStatus.NotOwned;
                    Assert.Equal(accepted, pools[me].TryAcceptBlock(new BlockReference { First = (uint)i, Sequence = last[i].Sequence, LengthBytes = 7 }, out Block taken));
                    Assert.True(accepted != BlockStatus.Done || taken == last[i]);
                    owner[i] = accepted == BlockStatus.Done ? me : owner[i];
                    break;
                case 5 when old.Count > 0:
                    Assert.NotEqual(BlockStatus.Done, pools[me].Free(old[i % old.Count]));
                    break;
                default:
                    Assert.Equal(owner[i] == me, pools[me].TryGetBytes(last[i], out _) == BlockStatus.Done);
                    break;
            }

            Assert.Equal(owner.Count(o => o == Free), pools[other].GetStatistics().Free);
        }

        second.Dispose();
        pool.FreeOrphans(parties[1]);
        for (int i = 0; i < Blocks; i++)
        {
            Assert.True(owner[i] != 0 || pool.Free(last[i]) == BlockStatus.Done);
        }

        Pools.AssertWhole(pool, refusals: true);
        return true;
    }
}
