using Microsoft.Win32.SafeHandles;
using Rpal.Linux;

namespace Rpal.Memory.Segments;

/// <summary>The file in memory behind a segment, while it is made or checked.</summary>
internal sealed unsafe class SegmentFile : IDisposable
{
    private const long SmallPageBytes = 4096, HugePageBytes = 0x20_0000;
    private const int RequiredSeals = FileSeals.Shrink | FileSeals.Grow | FileSeals.Seal;

    private SegmentFile(int fd, long lengthBytes, PageKind pages) => (Fd, LengthBytes, Pages) = (fd, lengthBytes, pages);

    public int Fd { get; private set; }

    public long LengthBytes { get; }

    public PageKind Pages { get; }

    /// <summary>Makes it: its bytes exist, and neither they nor the seals can be taken away again.</summary>
    /// <exception cref="SegmentException">NoMemory; KernelRefused.</exception>
    public static SegmentFile Create(ReadOnlySpan<byte> name, long lengthBytes, PagePreference pages)
    {
        if (pages == PagePreference.Small)
        {
            return Create(name, lengthBytes, PageKind.Small);
        }

        try
        {
            return Create(name, lengthBytes, PageKind.Huge);
        }
        catch (SegmentException) when (pages == PagePreference.PreferHuge)
        {
            return Create(name, lengthBytes, PageKind.SmallJoined);
        }
    }

    /// <summary>Reads and checks what another process calls a segment. Nothing is mapped.</summary>
    /// <returns>Its header, of which only length and address may be used.</returns>
    /// <exception cref="SegmentException">NotSealed; BadHeader; NotAllocated; KernelRefused.</exception>
    public static SegmentHeader Check(int fd)
    {
        int seals = Sys.GetSeals(fd);
        if (seals < 0 || (seals & RequiredSeals) != RequiredSeals || (seals & (FileSeals.Write | FileSeals.FutureWrite)) != 0)
        {
            throw new SegmentException(SegmentError.NotSealed, seals < 0
                ? $"What was received is no file in memory (fcntl, F_GET_SEALS: {ErrnoText.Describe(seals)}): segments come from Segment.Create."
                : $"What was received has the seals 0x{seals:x}; a segment has 0x{RequiredSeals:x} (shrink, grow, seal), so that nobody can cut it off under its users.");
        }

        int r = Sys.Fstat(fd, out FileStatus status);
        if (r < 0)
        {
            throw new SegmentException(SegmentError.KernelRefused, $"The length of what was received (fstat): {ErrnoText.Describe(r)}.");
        }

        long length = status.LengthBytes;
        SegmentHeader header = default;
        nint n = Sys.Pread(fd, (byte*)&header, (nuint)sizeof(SegmentHeader), 0);
        bool isTrue = n == sizeof(SegmentHeader) && header.Magic == SegmentHeader.ExpectedMagic && header.LengthBytes == length
            && length is >= Segment.LeastBytes and <= Segment.MostBytes && header.HeaderBytes == Segment.HeaderBytes;
        if (!isTrue || header.Version != SegmentHeader.CurrentVersion)
        {
            throw new SegmentException(SegmentError.BadHeader, isTrue
                ? $"The segment's layout has version {header.Version}; this program knows {SegmentHeader.CurrentVersion}: use the same Rpal in both."
                : $"What was received is sealed, but no segment: {length} bytes, magic 0x{header.Magic:x}, said to have {header.LengthBytes} bytes.");
        }

        // Whoever touches bytes that do not exist makes them, and where there is no memory gets SIGBUS.
        return status.Blocks * FileStatus.BlockBytes >= length ? header : throw new SegmentException(SegmentError.NotAllocated,
            $"Of the segment's {length} bytes only {status.Blocks * FileStatus.BlockBytes} exist: it was not made by Segment.Create, or somebody punched holes into it.");
    }

    /// <summary>An open file description of this process's own, for reading and writing.</summary>
    /// <exception cref="SegmentException">KernelRefused.</exception>
    public static SegmentFile Reopen(int fd, long lengthBytes)
    {
        int own = Description(fd);
        return new SegmentFile(own, lengthBytes, Sys.BlockBytesOf(own) > SmallPageBytes ? PageKind.Huge : PageKind.Small);
    }

    /// <summary>Opens a description for locks only. It is not passed: its receiver could keep or release them.</summary>
    /// <exception cref="SegmentException">KernelRefused.</exception>
    public static SafeFileHandle ForLocks(int fd) => new(Description(fd), ownsHandle: true);

    public SafeFileHandle Detach()
    {
        var handle = new SafeFileHandle(Fd, ownsHandle: true);
        Fd = -1;
        return handle;
    }

    public void Dispose()
    {
        if (Fd >= 0)
        {
            _ = Sys.Close(Fd);
            Fd = -1;
        }
    }

    private static SegmentFile Create(ReadOnlySpan<byte> name, long lengthBytes, PageKind pages)
    {
        long page = pages == PageKind.Huge ? HugePageBytes : SmallPageBytes, length = (lengthBytes + page - 1) / page * page;
        if (pages != PageKind.Huge && MemoryRoom.OfProcess.Look(out string source) is var room && length > room)          // reserved ones are counted by fallocate itself
        {
            throw new SegmentException(SegmentError.NoMemory, $"No memory for a segment of {length} bytes: {source} has room for {room}. Make it smaller, or give the container or machine more.");
        }

        uint flags = MemfdFlags.CloseOnExec | MemfdFlags.AllowSealing | (pages == PageKind.Huge ? MemfdFlags.HugeTlb | MemfdFlags.HugePage2MiB : 0);
        int fd = Sys.MemfdCreate(name, flags);
        if (fd < 0)
        {
            throw Failed("memfd_create", fd, length, pages);
        }

        var file = new SegmentFile(fd, length, pages);
        int r = Sys.Ftruncate(fd, length);
        string call = "ftruncate";
        if (r >= 0)
        {
            call = "fallocate";
            do
            {
                r = Sys.Fallocate(fd, 0, length);                // starts anew after a signal; what is there already is skipped
            }
            while (r == -(int)Errno.EINTR);
        }

        if (r >= 0)
        {
            (call, r) = ("fcntl, F_ADD_SEALS", Sys.AddSeals(fd, RequiredSeals));
        }

        if (r < 0)
        {
            file.Dispose();
            throw Failed(call, r, length, pages);
        }

        return file;
    }

    private static int Description(int fd)
    {
        int own = Sys.Open($"/proc/self/fd/{fd}", OpenFlags.ReadWrite | OpenFlags.CloseOnExec);
        return own >= 0 ? own : throw new SegmentException(SegmentError.KernelRefused,
            $"Opening the segment's file anew (/proc/self/fd/{fd}): {ErrnoText.Describe(own)}. It needs /proc and write access to the file.");
    }

    private static SegmentException Failed(string call, int errno, long length, PageKind pages)
    {
        if (-errno is not ((int)Errno.ENOMEM or (int)Errno.ENOSPC))
        {
            return new(SegmentError.KernelRefused, $"A segment of {length} bytes ({call}): {ErrnoText.Describe(errno)}.");
        }

        string remedy = pages == PageKind.Huge ? $"fewer than {length / HugePageBytes} huge pages of 2 MiB are reserved and free: raise vm.nr_hugepages, or use PagePreference.PreferHuge" : "make it smaller, or give the container or machine more";
        return new(SegmentError.NoMemory, $"No memory for a segment of {length} bytes ({call}: {ErrnoText.Describe(errno)}): {remedy}.");
    }
}
