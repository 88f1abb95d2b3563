namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>kcmp(2), KCMP_FILES: do two threads have one descriptor table?</summary>
    /// <returns>False also where the kernel does not say: no permission, or built without it.</returns>
    public static bool HaveOneDescriptorTable(int tid, int other)
    {
        const int files = 2;
        return Invoke(SyscallNumber.Kcmp, tid, other, files) == 0;
    }
}
