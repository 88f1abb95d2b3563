using System.Runtime.CompilerServices;
using Rpal.Memory.Parties;

namespace Rpal.Memory.Segments;

/// <remarks>Its table of parts: adding, finding, and which places this process uses.</remarks>
public sealed unsafe partial class Segment
{
    private readonly StrongBox<int>[] _gates = [.. Enumerable.Range(0, SegmentHeader.PartCapacity).Select(_ => new StrongBox<int>())];
    private Part[] _used = [];      // by this process; replaced as a whole

    private PartEntry* PartEntries => (PartEntry*)(Address + SegmentHeader.PartsOffset);

    /// <summary>Bytes of a segment that are not for parts.</summary>
    public static int HeaderBytes => (SegmentHeader.SizeBytes + Part.Alignment - 1) / Part.Alignment * Part.Alignment;

    /// <summary>Adds bytes that mean what the program likes: its own rings, tables and words.</summary>
    /// <param name="lengthBytes">How many. They are zero, and stay as long as the segment.</param>
    /// <returns>The part; others find it by its <see cref="Part.Index"/>. What they write there can change at any time: read once, check, then use.</returns>
    /// <exception cref="SegmentException">Full, PartsBusy.</exception>
    public Part AddBytes(long lengthBytes) => Add(PartKind.Bytes, lengthBytes);

    /// <summary>Adds a part. Its bytes are zero. Parts stay as long as the segment.</summary>
    /// <param name="kind">What will lie in it.</param>
    /// <param name="lengthBytes">Its length.</param>
    /// <param name="alignment">A power of two that its offset is a multiple of, <see cref="Part.Alignment"/> at least.</param>
    /// <param name="prepare">Fills it in before others can find it.</param>
    /// <exception cref="SegmentException">Full, PartsBusy.</exception>
    internal Part Add(PartKind kind, long lengthBytes, long alignment = Part.Alignment, Action<Part>? prepare = null)
    {
        lock (_lock)
        {
            ThrowIfClosed();
            Part part = default;
            _parties.WhileAddingPart(() => part = AddLocked(kind, lengthBytes, alignment, prepare));
            return part;
        }
    }

    private Part AddLocked(PartKind kind, long lengthBytes, long alignment, Action<Part>? prepare)
    {
        SegmentHeader header = *Header;
        if (header.PartCount >= SegmentHeader.PartCapacity)
        {
            throw new SegmentException(SegmentError.Full, $"The segment has {header.PartCount} parts, the most there can be: use another segment.");
        }

        long begin = (FirstFree(header) + alignment - 1) / alignment * alignment;
        if (lengthBytes <= 0 || begin > LengthBytes || lengthBytes > LengthBytes - begin)
        {
            throw new SegmentException(SegmentError.Full, $"A part of {lengthBytes} bytes{(alignment > Part.Alignment ? $", which begins at a multiple of {alignment}," : "")} does not fit: {Math.Max(0, LengthBytes - begin)} of the segment's {LengthBytes} bytes are left{(alignment > Part.Alignment ? $" from the next such place on, {begin}" : "")}. Make a larger segment{(alignment > Environment.SystemPageSize && Pages != PageKind.Huge ? "; or, for a guarded buffer, set Means = GuardMeans.Protect, which needs no whole 2 MiB" : "")}.");
        }

        int index = (int)header.PartCount;
        var part = new Part(this, index, kind, begin, lengthBytes);
        Volatile.Write(ref Header->NextOffset, begin + lengthBytes);              // first: who dies now leaves a gap, not bytes of two parts
        KillPoints.Reach(KillPoint.PartRoomTaken);
        try
        {
            prepare?.Invoke(part);
        }
        catch
        {
            part.Bytes.Clear();
            Header->NextOffset = header.NextOffset;
            throw;
        }

        PartEntries[index] = new PartEntry { Kind = (uint)kind, Offset = begin, LengthBytes = lengthBytes };
        KillPoints.Reach(KillPoint.PartWritten);
        Volatile.Write(ref Header->PartCount, header.PartCount + 1);              // SYNC part-ready: pairs with Find
        _used = [.. _used, part];
        return part;
    }

    /// <summary>Behind what the header says and behind every part that there is: another process may have written anything there.</summary>
    private long FirstFree(in SegmentHeader header)
    {
        long first = Math.Clamp(header.NextOffset, HeaderBytes, LengthBytes);
        for (int i = 0; i < PartCount; i++)
        {
            first = TryFind(i, out Part part) ? Math.Max(first, part.Offset + part.LengthBytes) : first;
        }

        foreach (Part part in _used)
        {
            first = Math.Max(first, part.Offset + part.LengthBytes);
        }

        return first;
    }

    /// <summary>A word of this process alone for each part, 0 at first: for what its threads do one at a time.</summary>
    internal StrongBox<int> GateOf(Part part) => _gates[part.Index];

    /// <summary>How many parts it has by now.</summary>
    public int PartCount => (int)Math.Min(Volatile.Read(ref Header->PartCount), SegmentHeader.PartCapacity);     // SYNC part-ready: pairs with Add

    /// <summary>A part by its number.</summary>
    /// <exception cref="SegmentException">NoSuchPart: there is none, it is of another kind, its place is not inside the segment, or it overlaps another part that this process uses.</exception>
    public Part Find(int index, PartKind kind)
    {
        if (!TryFind(index, out Part part) || part.Kind != kind || !TryUse(part))
        {
            ThrowIfClosed();                                     // what was read may be the tombstone's zeroes
            throw new SegmentException(SegmentError.NoSuchPart, $"Part {index} of the segment is {(index >= 0 && index < PartCount ? $"not a {kind}, or its entry makes no sense: outside the segment, or over another part" : $"not there: it has {PartCount}")}.");
        }

        return part;
    }

    internal bool TryFind(int index, out Part part)
    {
        part = default;
        if (index < 0 || index >= PartCount)
        {
            return false;
        }

        PartEntry entry = PartEntries[index];
        part = new Part(this, index, (PartKind)entry.Kind, entry.Offset, entry.LengthBytes);
        return entry.Offset >= HeaderBytes && entry.Offset % Part.Alignment == 0 && entry.LengthBytes > 0
            && entry.Offset <= LengthBytes && entry.LengthBytes <= LengthBytes - entry.Offset && !IsInAnothersPlace(part);
    }

    /// <summary>Keeps the place for it: what is guarded there must not be taken for anything else, whatever another process writes into the table later.</summary>
    private bool TryUse(Part part)
    {
        lock (_lock)
        {
            if (IsInAnothersPlace(part))
            {
                return false;
            }

            if (!_used.Any(u => IsSamePlace(u, part)))
            {
                _used = [.. _used, part];
            }

            return true;
        }
    }

    private bool IsInAnothersPlace(Part part)
    {
        foreach (Part other in _used)
        {
            if (part.Offset < other.Offset + other.LengthBytes && other.Offset < part.Offset + part.LengthBytes && !IsSamePlace(part, other))
            {
                return true;
            }
        }

        return false;
    }

    private static bool IsSamePlace(Part one, Part other) => (one.Kind, one.Offset, one.LengthBytes) == (other.Kind, other.Offset, other.LengthBytes);
}
