using Rpal.Linux;

namespace Rpal.Hosting.Loading;

/// <summary>Maps an ELF file at a chosen address, as execve(2) would.</summary>
/// <remarks>
/// The host touches no page of the file's: a file that is cut short meanwhile would end it by SIGBUS. Where a segment ends within its last
/// page from the file and more memory follows, that page is a copy:
/// <code>
/// │ pages of the file │ copy of the rest, zeros │ zeros │
/// </code></remarks>
internal static unsafe class ElfLoader
{
    private const int PageBytes = 4096;
    private const long PageMask = -PageBytes;
    private const int FixedPrivate = MapFlags.Private | MapFlags.Fixed;

    /// <summary>Maps it and returns what to add to the file's addresses.</summary>
    /// <exception cref="MemberStartException">The kernel refused a mapping, or the file has become shorter.</exception>
    public static long Load(ElfFile elf, long where)
    {
        long low = elf.LowAddress, bias = where - low;
        Map(elf, where, elf.HighAddress - low, Prot.None,
            MapFlags.Private | MapFlags.Anonymous | MapFlags.NoReserve | MapFlags.FixedNoreplace, -1, 0);
        foreach (ElfSegment s in elf.Segments)
        {
            MapSegment(elf, s, bias);
        }

        return bias;
    }

    private static void MapSegment(ElfFile elf, ElfSegment s, long bias)
    {
        long start = (s.Address & PageMask) + bias, memoryEnd = ((s.Address + s.MemoryBytes + PageBytes - 1) & PageMask) + bias;
        long dataEnd = s.Address + s.FileBytes + bias;
        bool copiesLast = s.MemoryBytes > s.FileBytes && (s.Prot & Prot.Write) != 0 && (dataEnd & ~PageMask) != 0;
        long fileEnd = s.FileBytes == 0 ? start : copiesLast ? dataEnd & PageMask : (dataEnd + PageBytes - 1) & PageMask;
        if (fileEnd > start)
        {
            Map(elf, start, fileEnd - start, s.Prot, FixedPrivate, elf.File.Descriptor, s.FileOffset & PageMask);
        }

        if (memoryEnd > fileEnd)
        {
            Map(elf, fileEnd, memoryEnd - fileEnd, s.Prot, FixedPrivate | MapFlags.Anonymous, -1, 0);
        }

        if (s.FileBytes > 0 && copiesLast)
        {
            elf.File.ReadExactly(new Span<byte>((void*)fileEnd, (int)(dataEnd - fileEnd)), (s.FileOffset & PageMask) + (fileEnd - start));
        }
    }

    private static void Map(ElfFile elf, long address, long length, int prot, int flags, int fd, long offset)
    {
        nint r = Sys.Mmap((nint)address, (nuint)length, prot, flags, fd, offset);
        if (r < 0)
        {
            throw MappingRefusal.Of($"{elf.Path}: mapping {length} bytes at 0x{address:x}", (int)r);
        }
    }
}
