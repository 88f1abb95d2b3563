namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>mlock2(2): keeps a range in memory.</summary>
    /// <param name="address">Its first byte.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="onFault">Each page from its first touch on; else the range is filled now.</param>
    /// <returns>0, or -errno: EPERM (no memory may be locked), ENOMEM (over RLIMIT_MEMLOCK, or a page that cannot be filled).</returns>
    public static int Mlock(nint address, nuint length, bool onFault) =>
        (int)Invoke(SyscallNumber.Mlock2, address, (nint)length, onFault ? 1 : 0);

    /// <summary>munlock(2).</summary>
    public static int Munlock(nint address, nuint length) => (int)Invoke(SyscallNumber.Munlock, address, (nint)length);
}
