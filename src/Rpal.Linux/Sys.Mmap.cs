namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>mmap(2). Flags: <see cref="Prot"/>, <see cref="MapFlags"/>.</summary>
    /// <returns>The address, or -errno: EEXIST (FixedNoreplace over a mapping), ENOMEM, EINVAL.</returns>
    public static nint Mmap(nint address, nuint length, int prot, int flags, int fd, long offset) =>
        Invoke(SyscallNumber.Mmap, address, (nint)length, prot, flags, fd, (nint)offset);

    /// <summary>munmap(2).</summary>
    public static int Munmap(nint address, nuint length) =>
        (int)Invoke(SyscallNumber.Munmap, address, (nint)length);

    /// <summary>mprotect(2). Protection: <see cref="Prot"/>.</summary>
    public static int Mprotect(nint address, nuint length, int prot) =>
        (int)Invoke(SyscallNumber.Mprotect, address, (nint)length, prot);

    /// <summary>madvise(2). Advice: <see cref="MemoryAdvice"/>.</summary>
    public static int Madvise(nint address, nuint length, int advice) =>
        (int)Invoke(SyscallNumber.Madvise, address, (nint)length, advice);

    /// <summary>mremap(2). Flags: <see cref="MremapFlags"/>; <paramref name="newAddress"/> counts only with Fixed.</summary>
    /// <returns>The new address, or -errno.</returns>
    public static nint Mremap(nint old, nuint oldLength, nuint newLength, int flags, nint newAddress) =>
        Invoke(SyscallNumber.Mremap, old, (nint)oldLength, (nint)newLength, flags, newAddress);

    /// <summary>mincore(2). One byte per page in <paramref name="vector"/>, bit 0 set when resident.</summary>
    /// <returns>0, or -errno: ENOMEM when a page in the range is not mapped.</returns>
    public static int Mincore(nint address, nuint length, byte* vector) =>
        (int)Invoke(SyscallNumber.Mincore, address, (nint)length, (nint)vector);
}
