using System.Runtime.CompilerServices;
using System.Text;
using Rpal.Linux;

namespace Rpal.Hosting.Broker;

/// <summary>The answer to one member's /proc/self/exe: all members share one in the kernel, each gets its own from here.</summary>
internal sealed unsafe class OwnExecutable
{
    private const int PathProbeBytes = 64;

    private readonly int _hostPid = Environment.ProcessId;
    private readonly byte[] _executable;
    private readonly List<byte[]> _selfNames;

    public OwnExecutable(int pid, string executable)
    {
        _executable = Encoding.UTF8.GetBytes(executable);
        _selfNames = [.. new[] { "/proc/self/exe", "/proc/thread-self/exe", $"/proc/{pid}/exe" }.Select(n => Encoding.UTF8.GetBytes(n + "\0"))];
    }

    /// <summary>readlink(2), and readlinkat(2) without its directory: the names are absolute.</summary>
    /// <param name="path">Where the name lies.</param>
    /// <param name="buffer">Where the answer is to lie.</param>
    /// <param name="size">The room there.</param>
    /// <returns>The answer's length or -errno, or null: another name, the kernel may do it.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]     // a member's start is waiting, and there may be only one
    public nint? ReadLink(ulong path, ulong buffer, ulong size)
    {
        byte* text = stackalloc byte[PathProbeBytes];
        nint n = Sys.ProcessVmReadv(_hostPid, (nint)path, text, PathProbeBytes);
        if (n <= 0)
        {
            n = Sys.ProcessVmReadv(_hostPid, (nint)path, text, Math.Min(PathProbeBytes, 4096 - (nuint)(path & 4095)));
        }

        ReadOnlySpan<byte> name = new(text, (int)Math.Max(n, 0));
        foreach (byte[] self in _selfNames)
        {
            if (name.StartsWith(self))
            {
                int room = (int)size;                            // the kernel takes an int
                if (room <= 0)
                {
                    return -(int)Errno.EINVAL;
                }

                int length = Math.Min(_executable.Length, room);
                fixed (byte* executable = _executable)
                {
                    return Sys.ProcessVmWritev(_hostPid, (nint)buffer, executable, (nuint)length) == length ? length : -(int)Errno.EFAULT;
                }
            }
        }

        return null;
    }
}
