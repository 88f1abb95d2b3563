namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>process_vm_readv(2) of one range.</summary>
    /// <returns>Bytes read, fewer at a hole, or -errno: EFAULT, EPERM, ESRCH.</returns>
    public static nint ProcessVmReadv(int pid, nint remote, void* local, nuint length)
    {
        IoVec here = new() { Base = (nint)local, LengthBytes = length };
        IoVec there = new() { Base = remote, LengthBytes = length };
        return Invoke(SyscallNumber.ProcessVmReadv, pid, (nint)(&here), 1, (nint)(&there), 1);
    }

    /// <summary>process_vm_writev(2) of one range.</summary>
    /// <returns>Bytes written, fewer at a hole, or -errno: EFAULT, EPERM, ESRCH.</returns>
    public static nint ProcessVmWritev(int pid, nint remote, void* local, nuint length)
    {
        IoVec here = new() { Base = (nint)local, LengthBytes = length };
        IoVec there = new() { Base = remote, LengthBytes = length };
        return Invoke(SyscallNumber.ProcessVmWritev, pid, (nint)(&here), 1, (nint)(&there), 1);
    }
}
