using Rpal.Linux;

namespace Rpal.Hosting.Loading;

/// <summary>Maps an ELF file at a chosen address, as execve(2) would.</summary>
internal static unsafe class ElfLoader
{
    private const long PageMask = -4096;

    /// <summary>Maps it and returns what to add to the file's addresses.</summary>
    /// <exception cref="MemberStartException">The kernel refused a mapping.</exception>
    public static long Load(ElfFile elf, long where)
    {
        int fd = Sys.Open(elf.Path, OpenFlags.ReadOnly | OpenFlags.CloseOnExec);
        if (fd < 0)
        {
            throw new MemberStartException(126, $"{elf.Path}: open: {ErrnoText.Describe(fd)}.");
        }

        try
        {
            long low = elf.LowAddress, bias = where - low;
            Map(elf, where, elf.HighAddress - low, Prot.None, MapFlags.Private | MapFlags.Anonymous | MapFlags.NoReserve | MapFlags.FixedNoreplace, -1, 0);
            foreach (ElfSegment s in elf.Segments)
            {
                MapSegment(elf, s, bias, fd);
            }

            return bias;
        }
        finally
        {
            _ = Sys.Close(fd);
        }
    }

    private static void MapSegment(ElfFile elf, ElfSegment s, long bias, int fd)
    {
        long start = (s.Address & PageMask) + bias;
        long fileEnd = ((s.Address + s.FileBytes + 4095) & PageMask) + bias, memoryEnd = ((s.Address + s.MemoryBytes + 4095) & PageMask) + bias;
        const int fixedPrivate = MapFlags.Private | MapFlags.Fixed;
        if (s.FileBytes > 0)
        {
            Map(elf, start, fileEnd - start, s.Prot, fixedPrivate, fd, s.FileOffset & PageMask);
            long dataEnd = s.Address + s.FileBytes + bias;
            if (s.MemoryBytes > s.FileBytes && (s.Prot & Prot.Write) != 0 && fileEnd > dataEnd)
            {
                new Span<byte>((void*)dataEnd, (int)(fileEnd - dataEnd)).Clear();
            }
        }

        long rest = s.FileBytes > 0 ? fileEnd : start;
        if (memoryEnd > rest)
        {
            Map(elf, rest, memoryEnd - rest, s.Prot, fixedPrivate | MapFlags.Anonymous, -1, 0);
        }
    }

    private static void Map(ElfFile elf, long address, long length, int prot, int flags, int fd, long offset)
    {
        nint r = Sys.Mmap((nint)address, (nuint)length, prot, flags, fd, offset);
        if (r < 0)
        {
            throw new MemberStartException(125, $"{elf.Path}: mapping {length} bytes at 0x{address:x}: {ErrnoText.Describe((int)r)}.");
        }
    }
}
