using System.Runtime.InteropServices;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Machine.Platform;

/// <summary>What can be asked in this process without changing it.</summary>
internal static unsafe class KernelProbes
{
    private const int OldestMajor = 5, OldestMinor = 16;
    private const ulong HardwareCapability2FsGsBase = 1 << 1;

    /// <summary>Room that the moved frame needs beside itself on a parking stack.</summary>
    private const int FrameSlackBytes = 1024;

    public static List<PlatformFinding> Required() => [Kernel(), Proc(), FsGsBase(), Dispatch(), Notification(), Pidfd(), Membarrier(), ProcessVm(), SignalFrame()];

    public static List<PlatformFinding> Optional() => [FutexWaitv(), .. SharedMemory(), HugePages(), ProtectionKeys()];

    private static PlatformFinding Kernel()
    {
        Architecture architecture = RuntimeInformation.ProcessArchitecture;
        if (architecture != Architecture.X64)
        {
            return new(PlatformFeature.Kernel, false, $"the processor is {architecture}");
        }

        try
        {
            return new(PlatformFeature.Kernel, KernelVersion.IsAtLeast(OldestMajor, OldestMinor), KernelVersion.Release);
        }
        catch (TypeInitializationException e)
        {
            return new(PlatformFeature.Kernel, false, $"the release cannot be read: {e.InnerException?.Message}");
        }
    }

    private static PlatformFinding Proc() => PlatformFinding.FromCall(PlatformFeature.Proc, "/proc/self/maps", Sys.Access("/proc/self/maps"), "mounted");

    private static PlatformFinding FsGsBase()
    {
        ulong capabilities = Sys.GetAuxiliaryValue(AuxiliaryType.HardwareCapabilities2);
        return new(PlatformFeature.FsGsBase, (capabilities & HardwareCapability2FsGsBase) != 0, $"AT_HWCAP2 0x{capabilities:x}");
    }

    /// <summary>Asks to dispatch by a selector at an address that no process has. A kernel that would do it says EFAULT, and nothing has changed.</summary>
    private static PlatformFinding Dispatch()
    {
        int r = Sys.Prctl(PrctlOp.SetSyscallUserDispatch, SyscallUserDispatch.On, 0, 0, -4096);
        return r == -(int)Errno.EFAULT
            ? new(PlatformFeature.Dispatch, true, "prctl(59) knows it")
            : PlatformFinding.FromCall(PlatformFeature.Dispatch, "prctl(59)", Math.Min(r, -(int)Errno.EPERM));
    }

    private static PlatformFinding Notification()
    {
        uint action = SeccompReturn.UserNotif;
        int r = Sys.Seccomp(SeccompOp.GetActionAvailable, 0, &action);
        if (r < 0)
        {
            return PlatformFinding.FromCall(PlatformFeature.Notification, "SECCOMP_RET_USER_NOTIF", r);
        }

        ushort* sizes = stackalloc ushort[4];                    // struct seccomp_notif_sizes: notif, response, data
        r = Sys.Seccomp(SeccompOp.GetNotifSizes, 0, sizes);
        return r < 0 ? PlatformFinding.FromCall(PlatformFeature.Notification, "SECCOMP_GET_NOTIF_SIZES", r)
            : new(PlatformFeature.Notification, sizes[0] <= SeccompNotif.SizeBytes && sizes[1] <= SeccompNotifResponse.SizeBytes, $"messages of {sizes[0]} and {sizes[1]} bytes");
    }

    private static PlatformFinding Pidfd()
    {
        int pidfd = Sys.PidfdOpen(Environment.ProcessId, 0);
        if (pidfd < 0)
        {
            return PlatformFinding.FromCall(PlatformFeature.Pidfd, "pidfd_open", pidfd);
        }

        int r = Sys.WaitPidfd(pidfd, WaitOptions.Exited | WaitOptions.NoHang, out _);
        _ = Sys.Close(pidfd);
        return r is 0 || r == -(int)Errno.ECHILD                 // nobody is a child of itself
            ? new(PlatformFeature.Pidfd, true, "pidfd_open and waitid know it")
            : PlatformFinding.FromCall(PlatformFeature.Pidfd, "waitid(P_PIDFD)", r);
    }

    private static PlatformFinding Membarrier()
    {
        int r = Sys.Membarrier(MembarrierCommand.RegisterPrivateExpedited, 0);
        return PlatformFinding.FromCall(PlatformFeature.Membarrier, "membarrier", r < 0 ? r : Sys.Membarrier(MembarrierCommand.PrivateExpedited, 0), "PRIVATE_EXPEDITED");
    }

    private static PlatformFinding ProcessVm()
    {
        long here = 1, there = 2;
        nint r = Sys.ProcessVmReadv(Environment.ProcessId, (nint)(&there), &here, sizeof(long));
        r = r < 0 ? r : Sys.ProcessVmWritev(Environment.ProcessId, (nint)(&there), &here, sizeof(long));
        return PlatformFinding.FromCall(PlatformFeature.ProcessVm, "process_vm_readv, process_vm_writev", r, "own memory");
    }

    private static PlatformFinding SignalFrame()
    {
        ulong bytes = Sys.GetAuxiliaryValue(AuxiliaryType.MinimumSignalStackSize);
        const int limit = FamilyLayout.ParkingFrameBytes - FrameSlackBytes;
        return new(PlatformFeature.SignalFrame, bytes <= limit, $"{bytes} bytes, at most {limit}");
    }

    private static PlatformFinding FutexWaitv()
    {
        const int futex32Private = 2 | 0x80;
        uint word = 1;
        ulong* waiter = stackalloc ulong[3] { 0, (ulong)(&word), futex32Private };   // struct futex_waitv: value, address, flags u32, reserved u32
        nint r = Sys.Invoke(SyscallNumber.FutexWaitv, (nint)waiter, 1);
        return r == -(int)Errno.EAGAIN                           // the word is not 0: there was nothing to wait for
            ? new(PlatformFeature.FutexWaitv, true, "Linux 5.16")
            : PlatformFinding.FromCall(PlatformFeature.FutexWaitv, "futex_waitv", Math.Min(r, -(int)Errno.EPERM));
    }

    private static PlatformFinding[] SharedMemory()
    {
        int fd = Sys.MemfdCreate("rpal-doctor"u8, MemfdFlags.CloseOnExec | MemfdFlags.AllowSealing), again = fd;
        int sealing = fd < 0 ? fd : Sys.AddSeals(fd, FileSeals.Shrink | FileSeals.Grow | FileSeals.Seal);
        if (sealing >= 0)
        {
            again = Sys.Open($"/proc/self/fd/{fd}", OpenFlags.ReadWrite | OpenFlags.CloseOnExec);
        }

        int locking = sealing < 0 ? sealing : again < 0 ? again : Sys.LockByte(again, 0);
        foreach (int open in new[] { fd, again }.Where(d => d >= 0).Distinct())
        {
            _ = Sys.Close(open);
        }

        return
        [
            PlatformFinding.FromCall(PlatformFeature.SealedMemory, fd < 0 ? "memfd_create" : "fcntl(F_ADD_SEALS)", sealing, "shrink, grow, seal"),
            PlatformFinding.FromCall(PlatformFeature.FileLocks, again < 0 ? "/proc/self/fd" : "fcntl(F_OFD_SETLK)", locking, "F_OFD_SETLK"),
        ];
    }

    private static PlatformFinding HugePages()
    {
        const int bytes = 2 << 20;
        int fd = Sys.MemfdCreate("rpal-doctor"u8, MemfdFlags.CloseOnExec | MemfdFlags.HugeTlb | MemfdFlags.HugePage2MiB);
        int r = fd < 0 ? fd : Sys.Ftruncate(fd, bytes);
        r = r < 0 ? r : Sys.Fallocate(fd, 0, bytes);
        if (fd >= 0)
        {
            _ = Sys.Close(fd);
        }

        return r is -(int)Errno.ENOSPC or -(int)Errno.ENOMEM
            ? new(PlatformFeature.HugePages, false, "none is free (HugePages_Free in /proc/meminfo)")
            : PlatformFinding.FromCall(PlatformFeature.HugePages, "memfd_create(MFD_HUGETLB)", r, "one of 2 MiB could be had");
    }

    private static PlatformFinding ProtectionKeys()
    {
        int key = (int)Sys.Invoke(SyscallNumber.PkeyAlloc);
        if (key >= 0)
        {
            _ = Sys.Invoke(SyscallNumber.PkeyFree, key);
        }

        return key is -(int)Errno.ENOSPC or -(int)Errno.EINVAL   // pkeys(7) says ENOSPC; what comes depends on the kernel
            ? new(PlatformFeature.ProtectionKeys, false, "the CPU has none, or the hypervisor hides them")
            : PlatformFinding.FromCall(PlatformFeature.ProtectionKeys, "pkey_alloc", key, "pkey_alloc");
    }
}
