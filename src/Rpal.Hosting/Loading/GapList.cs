using System.Numerics;

namespace Rpal.Hosting.Loading;

/// <summary>The free ranges of a slot in order of their addresses, as far as known: it only shrinks until it is read anew.</summary>
/// <remarks>
/// Because it only shrinks, a search that found nothing below an address need not look there again: kept for each power of two.
/// Used by one thread.
/// </remarks>
internal sealed class GapList
{
    private const int SizeClasses = 64;

    private readonly List<(long Start, long End)> _gaps = [];

    /// <summary>Element k: no gap that begins below has room for 2^k bytes.</summary>
    private readonly long[] _noneBelow = new long[SizeClasses];

    /// <summary>Everything between the bounds that is not in <paramref name="taken"/>, which is ordered.</summary>
    public void Reset(long start, long end, List<(long Start, long End)> taken)
    {
        _gaps.Clear();
        Array.Clear(_noneBelow);
        foreach ((long from, long to) in taken)
        {
            if (from > start)
            {
                _gaps.Add((start, Math.Min(from, end)));
            }

            start = Math.Max(start, to);
        }

        if (start < end)
        {
            _gaps.Add((start, end));
        }
    }

    /// <summary>The lowest address with room.</summary>
    /// <param name="size">Bytes.</param>
    /// <param name="align">Of the address; never smaller for a larger size.</param>
    /// <returns>The address, or null.</returns>
    public long? Lowest(long size, long align)
    {
        for (int i = IndexOf(_noneBelow[BitOperations.Log2((ulong)size)]); i < _gaps.Count; i++)
        {
            (long start, long end) = _gaps[i];
            long candidate = (start + align - 1) & -align;
            if (candidate <= end - size)
            {
                NoneBelow(size, start);
                return candidate;
            }
        }

        NoneBelow(size, long.MaxValue);
        return null;
    }

    /// <summary>The highest address with room.</summary>
    /// <inheritdoc cref="Lowest"/>
    public long? Highest(long size, long align)
    {
        for (int i = _gaps.Count - 1; i >= 0; i--)
        {
            (long start, long end) = _gaps[i];
            long candidate = (end - size) & -align;
            if (candidate >= start)
            {
                return candidate;
            }
        }

        return null;
    }

    /// <summary>Removes a range; what of it is in no gap does not matter.</summary>
    public void Take(long start, long end)
    {
        int i = IndexOf(start);
        if (i > 0 && _gaps[i - 1].End > start)
        {
            i--;
        }

        while (i < _gaps.Count && _gaps[i].Start < end)
        {
            (long from, long to) = _gaps[i];
            bool before = from < start, behind = to > end;
            if (before)
            {
                _gaps[i++] = (from, start);
            }
            else if (!behind)
            {
                _gaps.RemoveAt(i);
            }

            if (behind)
            {
                if (before)
                {
                    _gaps.Insert(i, (end, to));
                }
                else
                {
                    _gaps[i] = (end, to);
                }

                return;
            }
        }
    }

    private void NoneBelow(long size, long address)
    {
        for (int k = SizeClasses - BitOperations.LeadingZeroCount((ulong)size - 1); k < SizeClasses; k++)
        {
            _noneBelow[k] = Math.Max(_noneBelow[k], address);
        }
    }

    /// <summary>Of the first gap that begins at an address or above.</summary>
    private int IndexOf(long address)
    {
        int low = 0, high = _gaps.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            (low, high) = _gaps[middle].Start < address ? (middle + 1, high) : (low, middle);
        }

        return low;
    }
}
