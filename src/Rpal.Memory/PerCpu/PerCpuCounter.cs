using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Rpal.Memory.Segments;

namespace Rpal.Memory.PerCpu;

/// <summary>A counter with a cache line for each CPU: adding costs about as much as to an ordinary variable, from any number of threads and processes.</summary>
/// <remarks>
/// <para>Adding touches no other CPU's line and uses no atomic instruction where the kernel and libc have restartable sequences (rseq(2), glibc 2.35);
/// elsewhere an atomic one, on a line that is seldom another's. Reading adds up all lines: rare.</para>
/// <code>
/// using var hits = new PerCpuCounter();
/// hits.Add(1);
/// Console.WriteLine(hits.Sum());
/// </code>
/// <para>Source: seed 004.</para>
/// </remarks>
public sealed unsafe class PerCpuCounter : IDisposable
{
    private readonly bool _isOwn;
    private readonly int _lineCount;
    private readonly Segment? _segment;                          // also keeps the lines: see Tombstone
    private byte* _lines;

    /// <summary>One of this process alone.</summary>
    public PerCpuCounter()
    {
        (_isOwn, Part, _lineCount) = (true, -1, PossibleCpus.Count);
        nuint bytes = (nuint)(_lineCount * PerCpuLine.SizeBytes);
        _lines = (byte*)NativeMemory.AlignedAlloc(bytes, PerCpuLine.SizeBytes);
        NativeMemory.Clear(_lines, bytes);
    }

    private PerCpuCounter(Part part)
    {
        (Part, _lineCount, _segment) = (part.Index, (int)(part.LengthBytes / PerCpuLine.SizeBytes), part.Segment);
        _lines = part.Address;
    }

    /// <summary>Its number in its segment, by which others open it; -1 for one of this process alone.</summary>
    public int Part { get; }

    /// <summary>One that all processes with the segment share: a new part of it, of one cache line (64 bytes) per possible CPU.</summary>
    /// <exception cref="SegmentException">Full.</exception>
    public static PerCpuCounter Create(Segment segment)
    {
        ArgumentNullException.ThrowIfNull(segment);
        return new PerCpuCounter(segment.Add(PartKind.Counters, (long)PossibleCpus.Count * PerCpuLine.SizeBytes));
    }

    /// <summary>One that another process made.</summary>
    /// <param name="segment">The segment; it must stay open while the counter is used.</param>
    /// <param name="part">See <see cref="Part"/>.</param>
    /// <exception cref="SegmentException">NoSuchPart: there is none, or it is too short for this machine's CPUs.</exception>
    public static PerCpuCounter Open(Segment segment, int part)
    {
        ArgumentNullException.ThrowIfNull(segment);
        Part found = segment.Find(part, PartKind.Counters);
        long needed = (long)PossibleCpus.Count * PerCpuLine.SizeBytes;
        return found.LengthBytes >= needed ? new PerCpuCounter(found) : throw new SegmentException(SegmentError.NoSuchPart,
            $"Part {part} of the segment has {found.LengthBytes} bytes, a counter for {PossibleCpus.Count} CPUs needs {needed}: it was made on another machine, or is none.");
    }

    /// <summary>Adds, on the CPU that the calling thread runs on. Wraps around.</summary>
    /// <param name="value">Any; negative takes away.</param>
    /// <exception cref="ObjectDisposedException">It was disposed of. After its segment is closed nothing is counted, and nothing thrown.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(long value)
    {
        byte* lines = _lines;
        if (lines is null)
        {
            ThrowDisposed();
        }

        PerCpuSections.Add(lines, PerCpuLine.SizeBytes, value);
        GC.KeepAlive(_segment);                                  // the lines go with the last reference to it
    }

    /// <summary>What all CPUs have added. Exact once nobody adds; else some value of the time in between, CPU by CPU.</summary>
    /// <exception cref="ObjectDisposedException">It was disposed of.</exception>
    public long Sum()
    {
        byte* lines = _lines;
        if (lines is null)
        {
            ThrowDisposed();
        }

        _segment?.ThrowIfClosed();
        long sum = 0;
        for (int i = 0; i < _lineCount; i++)
        {
            PerCpuLine* line = (PerCpuLine*)lines + i;
            sum += (long)Volatile.Read(ref line->Own) + (long)Volatile.Read(ref line->Shared);
        }

        GC.KeepAlive(_segment);

        return sum;
    }

    /// <summary>Frees the lines of one that is this process's alone; those in a segment stay. Not while another thread uses it.</summary>
    public void Dispose()
    {
        byte* lines = _lines;
        _lines = null;
        if (_isOwn && lines is not null)
        {
            NativeMemory.AlignedFree(lines);
        }
    }

    [DoesNotReturn]
    private static void ThrowDisposed() => throw new ObjectDisposedException(nameof(PerCpuCounter));
}
