using Rpal.Hosting.Loading;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Tests.Loading;

/// <summary>Placement against a simulated kernel that, as the real one, does not tell of unmapping.</summary>
public sealed class SlotSpaceTests
{
    private const long KiB = 1 << 10, MiB = 1 << 20, GiB = 1 << 30, HugePage = 2 * MiB;

    private readonly SimulatedMap _map = new();
    private readonly SlotSpace _space;
    private readonly long _start, _end;

    public SlotSpaceTests()
    {
        _space = new SlotSpace(3, _map.Read);
        _start = _space.Base + SlotSpace.ArenaOffset;
        _end = _space.Base + FamilyLayout.SlotBytes;
    }

    [Fact]
    public void Small_mappings_fill_the_slot_from_the_bottom_and_large_ones_from_the_top()
    {
        Assert.Equal(_start, Place(4 * KiB));
        Assert.Equal(_end - 256 * GiB, Place(256 * GiB));
        Assert.Equal(_start + 4 * KiB, Place(10 * KiB));
        Assert.Equal(_end - 257 * GiB, Place(GiB));
        Assert.Equal(_start + 16 * KiB, Place(1));
    }

    [Fact]
    public void Mappings_that_can_have_huge_pages_are_aligned_and_the_room_before_them_is_used()
    {
        Assert.Equal(_start, Place(4 * KiB));
        Assert.Equal(_start + HugePage, Place(3 * MiB));
        Assert.Equal(_start + 4 * KiB, Place(4 * KiB));
        Assert.Equal(0, Place(5 * GiB + 4 * KiB) % HugePage);
    }

    [Fact]
    public void A_day_of_mapping_and_unmapping_stays_low()
    {
        const int operations = 10_000_000, live = 300;
        var random = new Random(1);
        long highest = 0;
        for (int i = 0; i < operations; i++)
        {
            if (_map.Count >= live)
            {
                _map.Unmap(random.Next(_map.Count));
            }

            long size = 4 * KiB << random.Next(10);              // up to 2 MiB
            highest = Math.Max(highest, Place(size) + size);
        }

        Assert.InRange(highest - _start, 0, 2 * GiB);            // 10 million of them are 2 TiB
        Assert.InRange(_space.Refreshes, 1, operations / SlotSpace.RefreshPlacements + 1);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void A_mapping_fails_only_when_no_gap_is_large_enough_and_never_lies_on_another_or_outside(int seed)
    {
        var random = new Random(seed);
        int failed = 0;
        for (int i = 0; i < 20_000; i++)
        {
            if (_map.Count > 0 && random.Next(100) < 45)
            {
                _map.Unmap(random.Next(_map.Count));
            }

            if (random.Next(20) == 0)
            {
                _map.Map(_start + random.NextInt64(_end - _start - GiB) / 4096 * 4096, random.NextInt64(GiB) + 1);     // the member's own, at a fixed address
            }

            long size = 1 + random.NextInt64(1L << random.Next(12, 39));
            long pages = (size + 4095) & -4096;
            bool fits = _map.HasGap(_start, _end, pages, pages >= HugePage ? HugePage : 4 * KiB);
            nint r = _space.Place(size, where => _map.Map(where, size));
            Assert.True(fits == (r >= 0), $"seed {seed}, step {i}: {size} bytes: {r}");
            Assert.True(r == -(int)Errno.ENOMEM || _space.Contains(r, pages), $"seed {seed}, step {i}: {size} bytes at {r:x}");
            failed += r < 0 ? 1 : 0;
        }

        Assert.InRange(failed, 1, 19_999);
    }

    [Fact]
    public void Mappings_of_the_members_own_are_gone_around()
    {
        for (int i = 0; i < 1000; i++)
        {
            _map.Map(_start + 2 * i * 4 * KiB, 4 * KiB);
        }

        for (int i = 0; i < 500; i++)
        {
            long at = Place(4 * KiB);
            Assert.Equal(_start + (2 * i + 1) * 4 * KiB, at);
        }

        Assert.InRange(_space.Refreshes, 1, 5);
    }

    [Fact]
    public void Sizes_that_no_slot_has_fail_without_a_look()
    {
        Assert.Equal(-(int)Errno.ENOMEM, _space.Place(FamilyLayout.SlotBytes, _ => throw new InvalidOperationException()));
        Assert.Equal(-(int)Errno.ENOMEM, _space.Place(-1, _ => throw new InvalidOperationException()));
        Assert.Equal(-(int)Errno.EINVAL, _space.Place(0, _ => throw new InvalidOperationException()));
        Assert.Equal(0, _space.Refreshes);
    }

    [Fact]
    public void Another_error_than_a_collision_is_the_callers_and_takes_no_room()
    {
        Assert.Equal(-(int)Errno.EACCES, _space.Place(4 * KiB, _ => -(int)Errno.EACCES));
        Assert.Equal(_start, Place(4 * KiB));
    }

    private long Place(long size)
    {
        nint r = _space.Place(size, where => _map.Map(where, size));
        Assert.True(r >= 0, $"{size} bytes: {r}");
        return r;
    }
}
