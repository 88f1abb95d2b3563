using Rpal.Hosting.Broker;

namespace Rpal.Hosting.Tests.Broker;

public sealed class MappingBudgetTests
{
    private const int Limit = 64_000, Reserve = 4_000, Share = 1_600;

    private int _mapped, _counts;

    [Fact]
    public void With_few_mappings_everybody_is_allowed_and_nobody_counted()
    {
        MappingBudget budget = Budget();
        for (int i = 0; i < 10_000; i++)
        {
            Assert.True(budget.Allows(_ => throw new InvalidOperationException()));
        }

        Assert.Null(budget.Shortage(() => 1));
        Assert.InRange(_counts, 1, 2);                           // half of the room is more than this many placements
    }

    [Fact]
    public void Before_the_limit_only_members_with_less_than_an_equal_share_are_allowed()
    {
        MappingBudget budget = Budget();
        int refused = 0;
        while (refused == 0 && _mapped < Limit)
        {
            refused = budget.Allows(share => _mapped < share) ? 0 : 1;
            _mapped += 1 - refused;
        }

        Assert.Equal(1, refused);
        Assert.InRange(_mapped, Limit - Reserve, Limit - Reserve + MappingBudget.CountEvery);
        Assert.True(budget.Allows(share => Share - 1 < share));
        Assert.False(budget.Allows(share => Share < share));
        Assert.InRange(_counts, 1, 50);
    }

    [Fact]
    public void The_operator_is_told_once()
    {
        MappingBudget budget = Budget();
        _mapped = Limit;
        Assert.Equal($"mmap fails (ENOMEM): the family has {Limit} mappings, 60000 of them this member; vm.max_map_count is {Limit} for all, a sixteenth kept for small members. Raise it: sysctl -w vm.max_map_count={2 * Limit}", budget.Shortage(() => 60_000));
        Assert.Null(budget.Shortage(() => 60_000));
    }

    [Fact]
    public void Freed_mappings_are_noticed()
    {
        MappingBudget budget = Budget();
        _mapped = Limit;
        Assert.NotNull(budget.Shortage(() => 60_000));
        _mapped = 100;
        int refused = 0;
        while (!budget.Allows(_ => false))
        {
            refused++;
        }

        Assert.InRange(refused, 0, MappingBudget.CountEvery);
    }

    private MappingBudget Budget() => new(Limit, () =>
    {
        _counts++;
        return _mapped;
    });
}
