using System.Buffers.Binary;
using System.Text;

namespace Rpal.Hosting.Loading;

/// <summary>One PT_LOAD segment. Source: elf(5).</summary>
internal readonly record struct ElfSegment(long Address, long MemoryBytes, long FileOffset, long FileBytes, int Prot);

/// <summary>What of an ELF file matters for loading it: x86-64, position independent, checked.</summary>
/// <remarks>The file stays its opener's: it must be open until the program is mapped.</remarks>
internal sealed record ElfFile(ExecutableFile File, long EntryAddress, long ProgramHeadersAddress, int ProgramHeaderCount,
    string? Interpreter, IReadOnlyList<ElfSegment> Segments)
{
    private const int HeaderBytes = 64, ProgramHeaderBytes = 56, ProgramHeaderLimit = 128, InterpreterBytesLimit = 4096;
    private const int TypeExecutable = 2, TypeShared = 3, MachineX86_64 = 62;
    private const uint PtLoad = 1, PtInterp = 3, PtPhdr = 6;

    /// <summary>A program larger than this is not one (the slot's first 4 GiB are the program's).</summary>
    private const long ImageBytesLimit = 1L << 32;

    public long LowAddress => Segments.Min(s => s.Address) & -4096;

    public long HighAddress => (Segments.Max(s => s.Address + s.MemoryBytes) + 4095) & -4096;

    public string Path => File.Path;

    /// <exception cref="MemberStartException">Not an x86-64 position-independent program; says which.</exception>
    public static ElfFile Read(ExecutableFile file)
    {
        string path = file.Path;
        Span<byte> h = stackalloc byte[HeaderBytes];
        if (file.Read(h, 0) < HeaderBytes || !h.StartsWith("\u007fELF"u8))
        {
            throw Refuse(path, "is neither an ELF program nor a script with a '#!' line.");
        }

        int type = BinaryPrimitives.ReadUInt16LittleEndian(h[16..]), machine = BinaryPrimitives.ReadUInt16LittleEndian(h[18..]);
        if (h[4] != 2 || h[5] != 1 || machine != MachineX86_64)
        {
            throw Refuse(path, $"is built for another architecture (ELF class {h[4]}, machine {machine}); a family needs x86-64 (class 2, machine {MachineX86_64}).");
        }

        if (type != TypeShared)
        {
            throw Refuse(path, type == TypeExecutable
                ? "is not position independent (ELF type EXEC): it must lie at one fixed address, and a family puts every member into its own slot. Build it with -fPIE -pie (or -static-pie)."
                : $"is not a program (ELF type {type}).");
        }

        int count = BinaryPrimitives.ReadUInt16LittleEndian(h[56..]), size = BinaryPrimitives.ReadUInt16LittleEndian(h[54..]);
        long tableOffset = BinaryPrimitives.ReadInt64LittleEndian(h[32..]);
        if (count is 0 or > ProgramHeaderLimit || size != ProgramHeaderBytes || tableOffset < 0
            || tableOffset > file.LengthBytes - (long)count * size)
        {
            throw Refuse(path, $"has a damaged program header table ({count} entries of {size} bytes at {tableOffset}, "
                + $"file of {file.LengthBytes} bytes).");
        }

        Span<byte> table = new byte[count * size];
        file.ReadExactly(table, tableOffset);
        List<ElfSegment> segments = [];
        string? interpreter = null;
        long headers = -1;
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> p = table.Slice(i * size, size);
            uint kind = BinaryPrimitives.ReadUInt32LittleEndian(p), flags = BinaryPrimitives.ReadUInt32LittleEndian(p[4..]);
            long offset = BinaryPrimitives.ReadInt64LittleEndian(p[8..]), address = BinaryPrimitives.ReadInt64LittleEndian(p[16..]);
            long fileBytes = BinaryPrimitives.ReadInt64LittleEndian(p[32..]), memoryBytes = BinaryPrimitives.ReadInt64LittleEndian(p[40..]);
            if (kind == PtLoad && memoryBytes > 0)
            {
                if (memoryBytes > ImageBytesLimit)
                {
                    throw Refuse(path, $"needs {memoryBytes} bytes for segment {i}; "
                        + $"a member's program and its variables have at most {ImageBytesLimit} in all.");
                }

                if (address < 0 || offset < 0 || fileBytes < 0 || fileBytes > memoryBytes || address > ImageBytesLimit - memoryBytes
                    || (fileBytes > 0 && offset > file.LengthBytes - fileBytes) || ((address - offset) & 4095) != 0)
                {
                    throw Refuse(path, $"has a damaged segment {i} (address {address:x}, offset {offset:x}, {fileBytes} of {memoryBytes} bytes; at most {ImageBytesLimit} in all).");
                }

                int prot = ((flags & 4) != 0 ? Linux.Prot.Read : 0) | ((flags & 2) != 0 ? Linux.Prot.Write : 0) | ((flags & 1) != 0 ? Linux.Prot.Exec : 0);
                segments.Add(new ElfSegment(address, memoryBytes, offset, fileBytes, prot));
                if (headers < 0 && offset <= tableOffset && tableOffset < offset + fileBytes)
                {
                    headers = address + tableOffset - offset;
                }
            }
            else if (kind == PtInterp)
            {
                if (fileBytes is < 0 or > InterpreterBytesLimit || offset < 0 || offset > file.LengthBytes - fileBytes)
                {
                    throw Refuse(path, "has a damaged interpreter entry.");
                }

                byte[] name = new byte[fileBytes];
                file.ReadExactly(name, offset);
                int end = name.AsSpan().IndexOf((byte)0);
                interpreter = Encoding.UTF8.GetString(name, 0, end < 0 ? name.Length : end);
                if (interpreter.Length == 0)
                {
                    throw Refuse(path, "names no ELF interpreter: its PT_INTERP entry is empty. "
                        + "Link it anew; a program without one needs -static-pie.");
                }
            }
            else if (kind == PtPhdr)
            {
                headers = address;
            }
        }

        long entry = BinaryPrimitives.ReadInt64LittleEndian(h[24..]);
        return segments.Count == 0 || headers < 0
            ? throw Refuse(path, "has nothing to load.")
            : !segments.Any(s => (s.Prot & Linux.Prot.Exec) != 0 && entry >= s.Address && entry - s.Address < s.FileBytes)
            ? throw Refuse(path, $"has no code at its entry address {entry:x}: it is a library, or damaged.")
            : new ElfFile(file, entry, headers, count, interpreter, segments);
    }

    private static MemberStartException Refuse(string path, string why) => new(126, $"{path}: {why}");
}
