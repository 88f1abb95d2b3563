using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Loading;

/// <summary>Which slots are free. The one that is free the longest is taken first, so that a stale address meets nothing for as long as possible.</summary>
internal sealed class SlotTable
{
    private readonly Queue<int> _free = new(Enumerable.Range(0, FamilyLayout.MemberCapacity));
    private int _leftOut;

    /// <summary>Slots that are free now.</summary>
    public int Free
    {
        get
        {
            lock (_free)
            {
                return _free.Count;
            }
        }
    }

    /// <summary>A free slot, now the caller's.</summary>
    /// <exception cref="MemberStartException">All are in use, or still pinned by calls of members that have ended.</exception>
    public int Take(string member)
    {
        lock (_free)
        {
            return _free.TryDequeue(out int slot) ? slot : throw new MemberStartException(125,
                $"{member}: all {FamilyLayout.MemberCapacity} slots (MemberCapacity) are in use, by members or by calls that ended members left behind{(_leftOut == 0 ? "" : $", or left out because something lies in them that is nobody's ({_leftOut})")}. Run fewer members in one family.");
        }
    }

    /// <summary>Never gives a slot back that was taken: something lies in it that cannot be unmapped.</summary>
    /// <returns>How many can still be used.</returns>
    public int LeaveOut()
    {
        lock (_free)
        {
            return FamilyLayout.MemberCapacity - ++_leftOut;
        }
    }

    /// <summary>Gives a slot back. Nothing is mapped in it any more.</summary>
    public void Return(int slot)
    {
        lock (_free)
        {
            _free.Enqueue(slot);
        }
    }
}
