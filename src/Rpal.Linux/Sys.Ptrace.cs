namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>ptrace(2). Requests: <see cref="PtraceRequest"/>. All requests for a thread must come from the thread that seized it.</summary>
    /// <returns>0 or -errno: EPERM not allowed or traced already, ESRCH not stopped or gone.</returns>
    public static int Ptrace(int request, int tid, nint address, nint data) =>
        (int)Invoke(SyscallNumber.Ptrace, request, tid, address, data);

    /// <summary>PTRACE_GETREGSET. Sets: <see cref="RegisterSet"/>.</summary>
    /// <returns>Bytes written, or -errno.</returns>
    public static int PtraceGetRegisters(int tid, int set, void* buffer, int capacityBytes)
    {
        IoVec vector = new() { Base = (nint)buffer, LengthBytes = (nuint)capacityBytes };
        int r = Ptrace(PtraceRequest.GetRegset, tid, set, (nint)(&vector));
        return r < 0 ? r : (int)vector.LengthBytes;
    }
}
