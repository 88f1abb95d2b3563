using System.Text;

namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>open(2). Flags: <see cref="OpenFlags"/>.</summary>
    /// <returns>The descriptor, or -errno.</returns>
    public static int Open(string path, int flags, int mode = 0)
    {
        fixed (byte* p = NullTerminatedPath(path))
        {
            return (int)Invoke(SyscallNumber.Open, (nint)p, flags, mode);
        }
    }

    /// <summary>close(2). Never repeat it: the descriptor is gone even after EINTR.</summary>
    public static int Close(int fd) => (int)Invoke(SyscallNumber.Close, fd);

    /// <summary>UTF-8 with a zero at the end. A zero inside would silently name another file, so it throws.</summary>
    private static byte[] NullTerminatedPath(string path)
    {
        if (path.Contains('\0', StringComparison.Ordinal))
        {
            throw new ArgumentException("A path cannot contain a zero character.", nameof(path));
        }

        byte[] bytes = new byte[Encoding.UTF8.GetByteCount(path) + 1];
        Encoding.UTF8.GetBytes(path, bytes);
        return bytes;
    }
}
