using Rpal.Linux;

namespace Rpal.Hosting.Loading;

/// <summary>A file that is to be executed: regular, and executable for this process.</summary>
/// <remarks>One descriptor from the first look to the last mapping: whatever is put under the name meanwhile, what was checked is what is
/// loaded.</remarks>
internal sealed class ExecutableFile : IDisposable
{
    private const int NotFound = 127, NotStartable = 126;

    private ExecutableFile(string path, int descriptor, long lengthBytes) =>
        (Path, Descriptor, LengthBytes) = (path, descriptor, lengthBytes);

    /// <summary>As it was opened.</summary>
    public string Path { get; }

    public int Descriptor { get; private set; }

    /// <summary>When it was opened. It may shrink meanwhile: then what is missing is refused when it is read.</summary>
    public long LengthBytes { get; }

    /// <summary>The path without symbolic links, as the kernel answers for /proc/PID/exe.</summary>
    public string RealPath => Sys.Readlink($"/proc/self/fd/{Descriptor}") ?? Path;

    /// <summary>Opens a file, without waiting for a writer when it is a named pipe.</summary>
    /// <param name="path">Where.</param>
    /// <param name="shown">What messages call it, when that is not the path.</param>
    /// <exception cref="MemberStartException">127: it does not exist. 126: it cannot be executed; says why.</exception>
    public static ExecutableFile Open(string path, string? shown = null)
    {
        shown ??= path;
        int fd = Sys.Open(path, OpenFlags.ReadOnly | OpenFlags.NonBlocking | OpenFlags.CloseOnExec);
        if (fd < 0)
        {
            throw fd == -(int)Errno.ENOENT
                ? new MemberStartException(NotFound, $"{shown}: no such file (looked for {path}).")
                : Refuse(shown, $"cannot be read: {ErrnoText.Describe(fd)}.");
        }

        try
        {
            int r = Sys.Fstat(fd, out FileStatus status);
            uint type = status.Mode & FileStatus.TypeMask;
            return r < 0 ? throw Refuse(shown, $"cannot be read: {ErrnoText.Describe(r)}.")
                : type == FileStatus.Directory ? throw Refuse(shown, "is a directory.")
                : type != FileStatus.Regular ? throw Refuse(shown, "is not a regular file.")
                : Sys.MayExecute(fd) == -(int)Errno.EACCES ? throw Refuse(shown, Denied(path, fd))
                : new ExecutableFile(path, fd, status.LengthBytes);
        }
        catch
        {
            _ = Sys.Close(fd);
            throw;
        }
    }

    /// <summary>Reads from an offset on.</summary>
    /// <returns>Bytes read, fewer at its end.</returns>
    /// <exception cref="MemberStartException">It cannot be read.</exception>
    public unsafe int Read(Span<byte> into, long offset)
    {
        int length = 0;
        fixed (byte* p = into)
        {
            while (length < into.Length)
            {
                nint n = Sys.Pread(Descriptor, p + length, (nuint)(into.Length - length), offset + length);
                if (n == 0)
                {
                    break;
                }

                if (n < 0 && n != -(int)Errno.EINTR)
                {
                    throw Refuse(Path, $"cannot be read: {ErrnoText.Describe((int)n)}.");
                }

                length += (int)Math.Max(n, 0);
            }
        }

        return length;
    }

    /// <summary>Reads exactly so many bytes.</summary>
    /// <exception cref="MemberStartException">There are fewer, or it cannot be read.</exception>
    public void ReadExactly(Span<byte> into, long offset)
    {
        if (Read(into, offset) < into.Length)
        {
            throw Refuse(Path, $"ended at its byte {offset} or soon behind while it was loaded, it had {LengthBytes} before: "
                + "it is being written. Replace programs by rename (install, mv).");
        }
    }

    public void Dispose()
    {
        if (Descriptor >= 0)
        {
            _ = Sys.Close(Descriptor);
            Descriptor = -1;
        }
    }

    private static string Denied(string path, int fd) => Sys.IsMountedNoexec(fd)
        ? $"permission denied: {path} lies on a file system that is mounted noexec. Put it on another."
        : $"permission denied: {path} is not executable for this user. chmod +x it, or name its interpreter.";

    private static MemberStartException Refuse(string shown, string why) => new(NotStartable, $"{shown}: {why}");
}
