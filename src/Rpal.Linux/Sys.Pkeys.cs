namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>pkeys(7): PKEY_DISABLE_*.</summary>
    public const uint PkeyDisableAccess = 1, PkeyDisableWrite = 2;

    /// <summary>pkey_alloc(2).</summary>
    /// <param name="rights">Of the calling thread, PkeyDisable*.</param>
    /// <returns>The key, or -errno: ENOSPC all are in use or the CPU has none, EINVAL, ENOSYS.</returns>
    public static int PkeyAlloc(uint rights) => (int)Invoke(SyscallNumber.PkeyAlloc, 0, (nint)rights);

    /// <summary>pkey_free(2).</summary>
    public static int PkeyFree(int key) => (int)Invoke(SyscallNumber.PkeyFree, key);

    /// <summary>pkey_mprotect(2). Protection: <see cref="Prot"/>.</summary>
    public static int PkeyMprotect(nint address, nuint length, int prot, int key) => (int)Invoke(SyscallNumber.PkeyMprotect, address, (nint)length, prot, key);
}
