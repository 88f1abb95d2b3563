using System.Runtime.InteropServices;

namespace Rpal.Machine.Blocks;

/// <summary>
/// What a member asks of its host. It makes an rt_sigaction call with one of these as signal number: the host answers it
/// through the seccomp notification, one at a time per member; without a host the kernel says EINVAL.
/// </summary>
internal enum HostCall
{
    /// <summary>Take over the process's signal actions. The agent thread must be running. No arguments.</summary>
    Attach = 0x5250_0001,

    /// <summary>Register a service. Argument: <see cref="RegisterServiceRequest"/>*. Answers its index, or -EEXIST, -ENOSPC, -EINVAL.</summary>
    RegisterService = 0x5250_0002,

    /// <summary>Change an own service's state. Arguments: index, <see cref="ServiceState"/>; Free only when it is Gone; the caller has stopped its receivers. Answers 0, or -EPERM, -EINVAL.</summary>
    SetServiceState = 0x5250_0003,

    /// <summary>A signal is about to end the process: bring home whoever runs foreign on its threads. Argument: the signal. From the trampoline.</summary>
    Dying = 0x5250_0004,
}

/// <summary>Argument of <see cref="HostCall.RegisterService"/>.</summary>
/// <remarks><code>0 name u64   8 name length i32   12 zero   16 key u64</code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct RegisterServiceRequest
{
    public const int SizeBytes = 24;

    [FieldOffset(0)] public byte* Name;
    [FieldOffset(8)] public int NameLengthBytes;
    [FieldOffset(16)] public ulong Key;
}
