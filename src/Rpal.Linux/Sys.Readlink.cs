using System.Text;

namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>readlink(2).</summary>
    /// <returns>The target, or null when there is none to read.</returns>
    public static string? Readlink(string path)
    {
        byte* buffer = stackalloc byte[LinkCapacityBytes];
        fixed (byte* p = NullTerminatedPath(path))
        {
            nint length = Invoke(SyscallNumber.Readlink, (nint)p, (nint)buffer, LinkCapacityBytes);
            return length < 0 || length == LinkCapacityBytes ? null : Encoding.UTF8.GetString(buffer, (int)length);
        }
    }

    // Twice PATH_MAX: a full buffer would mean a target cut short.
    private const int LinkCapacityBytes = 8192;
}
