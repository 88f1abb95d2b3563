namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    private const int AddSealsCommand = 1033, GetSealsCommand = 1034;

    /// <summary>memfd_create(2). Flags: <see cref="MemfdFlags"/>. Its length is 0.</summary>
    /// <param name="name">For /proc/PID/maps only: it names nothing that others could open.</param>
    /// <param name="flags">How.</param>
    /// <returns>The descriptor, or -errno: EMFILE, ENOMEM, EINVAL no such huge page size.</returns>
    public static int MemfdCreate(ReadOnlySpan<byte> name, uint flags)
    {
        Span<byte> text = stackalloc byte[name.Length + 1];
        name.CopyTo(text);
        text[^1] = 0;
        fixed (byte* p = text)
        {
            return (int)Invoke(SyscallNumber.MemfdCreate, (nint)p, (nint)flags);
        }
    }

    /// <summary>memfd_create(2), close-on-exec, and ftruncate(2).</summary>
    /// <returns>The descriptor, or -errno.</returns>
    public static int MemfdCreate(long length)
    {
        int fd = MemfdCreate([], MemfdFlags.CloseOnExec);
        int r = fd < 0 ? fd : Ftruncate(fd, length);
        if (r < 0 && fd >= 0)
        {
            _ = Close(fd);
        }

        return r < 0 ? r : fd;
    }

    /// <summary>ftruncate(2).</summary>
    public static int Ftruncate(int fd, long length) => (int)Invoke(SyscallNumber.Ftruncate, fd, (nint)length);

    /// <summary>fallocate(2), mode 0: the bytes exist afterwards, so touching them cannot fail for want of room.</summary>
    /// <returns>0, or -errno: ENOSPC, ENOMEM, EINTR.</returns>
    public static int Fallocate(int fd, long offset, long length) => (int)Invoke(SyscallNumber.Fallocate, fd, 0, (nint)offset, (nint)length);

    /// <summary>fstat(2).</summary>
    /// <returns>0, or -errno.</returns>
    public static int Fstat(int fd, out FileStatus status)
    {
        fixed (FileStatus* p = &status)
        {
            return (int)Invoke(SyscallNumber.Fstat, fd, (nint)p);
        }
    }

    /// <summary>fstatfs(2): bytes of one block of the file system that a file lies in; for a file in memory those of its pages.</summary>
    /// <returns>Bytes, or -errno.</returns>
    public static long BlockBytesOf(int fd)
    {
        StatFs system;
        nint r = Invoke(SyscallNumber.Fstatfs, fd, (nint)(&system));
        return r < 0 ? r : system.BlockBytes;
    }

    /// <summary>fstatfs(2) of a file that may lie on hugetlbfs, where MFD_HUGETLB's lie too.</summary>
    /// <returns>Bytes of one of its pages; 0 when the file lies elsewhere.</returns>
    public static long HugePageBytesOf(int fd)
    {
        const long hugetlbfs = 0x958458f6;                       // HUGETLBFS_MAGIC
        StatFs system;
        return Invoke(SyscallNumber.Fstatfs, fd, (nint)(&system)) == 0 && system.Type == hugetlbfs ? system.BlockBytes : 0;
    }

    /// <summary>fcntl(2), F_ADD_SEALS. Seals: <see cref="FileSeals"/>.</summary>
    public static int AddSeals(int fd, int seals) => (int)Invoke(SyscallNumber.Fcntl, fd, AddSealsCommand, seals);

    /// <summary>fcntl(2), F_GET_SEALS.</summary>
    /// <returns>The seals, or -errno: EINVAL not a file in memory.</returns>
    public static int GetSeals(int fd) => (int)Invoke(SyscallNumber.Fcntl, fd, GetSealsCommand);
}
