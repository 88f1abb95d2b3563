using Rpal.Linux;

namespace Rpal.Machine.Emit;

/// <summary>A restartable section of the emitted code: [<paramref name="Start"/>, <paramref name="End"/>), the commit last.</summary>
internal readonly record struct PerCpuSection(string Name, long Start, long End, long Abort)
{
    /// <summary>As the kernel reads it.</summary>
    public RseqSection Descriptor => new() { Start = Start, LengthBytes = End - Start, Abort = Abort };
}

/// <summary>Per-CPU sections for the threads of one process, whose areas libc registered. Mapped once and never unmapped: a thread's area may name a section long after it left it.</summary>
internal sealed unsafe class PerCpuCode(long begin, byte[] bytes, IReadOnlyDictionary<string, long> labels, PerCpuSection[] sections)
{
    private const int RegionBytes = 4096;
    private static readonly Lock s_lock = new();
    private static PerCpuCode? s_mapped;

    public long Begin { get; } = begin;

    public IReadOnlyDictionary<string, long> Labels { get; } = labels;

    public IReadOnlyList<PerCpuSection> Sections { get; } = sections;

    /// <summary>Length of the code, from <see cref="Begin"/>.</summary>
    public int LengthBytes => bytes.Length;

    /// <summary>The sections, mapped at the first use.</summary>
    /// <returns>Null, and why: this libc registers no areas, the kernel does not know rseq, or a security policy forbids turning written pages executable.</returns>
    public static PerCpuCode? Map(out string? missing)
    {
        lock (s_lock)
        {
            missing = null;
            return s_mapped ??= TryMap(out missing);
        }
    }

    private static PerCpuCode? TryMap(out string? missing)
    {
        if (Sys.LibcRseqOffset() is not { } offset)
        {
            missing = "libc registers no rseq areas (glibc before 2.35, another libc, or GLIBC_TUNABLES=glibc.pthread.rseq=0)";
            return null;
        }

        nint at = Sys.Mmap(0, RegionBytes, Prot.Read | Prot.Write, MapFlags.Private | MapFlags.Anonymous, -1, 0);
        if (at < 0)
        {
            missing = $"mmap: {ErrnoText.Describe((int)at)}";
            return null;
        }

        PerCpuCode code = new Emitter(inject: false).AssemblePerCpu(at, (int)offset);
        code.WriteTo((byte*)at);
        int r = Sys.Mprotect(at, RegionBytes, Prot.Read | Prot.Exec);
        if (r < 0)
        {
            _ = Sys.Munmap(at, RegionBytes);
            missing = $"mprotect: {ErrnoText.Describe(r)}";
            return null;
        }

        // Every thread has an area or none: libc registers them as they start. So this one speaks for all.
        if (((delegate* unmanaged<int>)code.Labels["percpu_number"])() < 0)
        {
            _ = Sys.Munmap(at, RegionBytes);
            missing = "the kernel refused libc's rseq registration";
            return null;
        }

        missing = null;
        return code;
    }

    private void WriteTo(byte* at)
    {
        WriteSections(Sections, at);
        int room = RegionBytes - Emitter.SectionTableBytes;
        bytes.CopyTo(bytes.Length <= room ? new Span<byte>((byte*)Begin, room)
            : throw new InvalidOperationException($"The per-CPU sections are {bytes.Length} bytes, the room for them {room} (PerCpuCode.RegionBytes)."));
    }

    /// <summary>Fills in the table of descriptors.</summary>
    public static void WriteSections(IReadOnlyList<PerCpuSection> sections, byte* table)
    {
        if (sections.Count > Emitter.SectionCapacity)
        {
            throw new InvalidOperationException($"{sections.Count} sections, the table has room for {Emitter.SectionCapacity} (Emitter.SectionCapacity).");
        }

        for (int i = 0; i < sections.Count; i++)
        {
            ((RseqSection*)table)[i] = sections[i].Descriptor;
        }
    }
}
