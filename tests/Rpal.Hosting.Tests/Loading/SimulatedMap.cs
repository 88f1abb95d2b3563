using Rpal.Linux;

namespace Rpal.Hosting.Tests.Loading;

/// <summary>The kernel's side of a slot: an ordered list of mappings that refuses to replace one.</summary>
internal sealed class SimulatedMap
{
    private readonly List<(long Start, long End)> _mappings = [];

    public int Count => _mappings.Count;

    public (long Start, long End) this[int index] => _mappings[index];

    public nint Map(long start, long length)
    {
        long end = start + ((length + 4095) & -4096);
        int i = IndexOf(start);
        if ((i < _mappings.Count && _mappings[i].Start < end) || (i > 0 && _mappings[i - 1].End > start))
        {
            return -(int)Errno.EEXIST;
        }

        _mappings.Insert(i, (start, end));
        return (nint)start;
    }

    public void Unmap(int index) => _mappings.RemoveAt(index);

    public int IndexOf(long start)
    {
        int i = _mappings.BinarySearch((start, 0));
        return i < 0 ? ~i : i;
    }

    public int Read(long start, long end, List<(long Start, long End)> into)
    {
        into.AddRange(_mappings);
        return _mappings.Count + 1;
    }

    /// <summary>Whether an aligned range of that size is free between the bounds.</summary>
    public bool HasGap(long from, long end, long size, long align)
    {
        foreach ((long start, long next) in _mappings)
        {
            if (((from + align - 1) & -align) + size <= start)
            {
                return true;
            }

            from = Math.Max(from, next);
        }

        return ((from + align - 1) & -align) + size <= end;
    }
}
