namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>access(2) with F_OK: does the path exist?</summary>
    /// <returns>0 when it does, or -errno: ENOENT.</returns>
    public static int Access(string path)
    {
        fixed (byte* p = NullTerminatedPath(path))
        {
            return (int)Invoke(SyscallNumber.Access, (nint)p);
        }
    }
}
