namespace Rpal.Machine.Platform;

/// <summary>Something of the kernel or the CPU that Rpal uses.</summary>
/// <param name="Name">As the man pages call it.</param>
/// <param name="Required">Without it no family can run.</param>
/// <param name="Purpose">What it is for.</param>
/// <param name="Without">What to do about its absence, or what works all the same.</param>
internal sealed record PlatformFeature(string Name, bool Required, string Purpose, string Without)
{
    private const string ByProfile =
        "A container's seccomp profile can forbid it: allow it there (docker run --security-opt seccomp=PROFILE), or run outside the container.";

    public static readonly PlatformFeature Kernel = new("Linux 5.16, x86-64", true,
        "a member that dumps core leaves the others alive",
        "Before 5.16 a core-dumping signal of one member kills all of them: use a newer kernel.");

    public static readonly PlatformFeature Proc = new("/proc", true,
        "the loader reads programs, limits and memory maps there",
        "Mount it: mount -t proc proc /proc.");

    public static readonly PlatformFeature FsGsBase = new("FSGSBASE", true,
        "switching thread-local storage in user mode",
        "Needs a CPU from Ivy Bridge or Zen on, and a kernel booted without nofsgsbase; a hypervisor has to pass it through.");

    public static readonly PlatformFeature Dispatch = new("Syscall User Dispatch", true,
        "a system call of foreign code runs in the process it belongs to",
        "Needs prctl(59, PR_SET_SYSCALL_USER_DISPATCH), and the sysctl kernel.syscall_user_dispatch at 1 where it exists. " + ByProfile);

    public static readonly PlatformFeature Notification = new("seccomp notification", true,
        "the host places each member's memory in its slot",
        "Needs CONFIG_SECCOMP_FILTER. EBUSY: a container manager listens already, and a task can have one listener. " + ByProfile);

    public static readonly PlatformFeature Pidfd = new("pidfd", true,
        "waiting for members and signalling them without mixing up process ids",
        "Needs pidfd_open and waitid(P_PIDFD). " + ByProfile);

    public static readonly PlatformFeature Membarrier = new("membarrier", true,
        "ordering a member's death with calls into it, at no cost to the calls",
        "Needs CONFIG_MEMBARRIER. " + ByProfile);

    public static readonly PlatformFeature ProcessVm = new("process_vm_readv", true,
        "the host reads what a member's system call points to, and a bad pointer is EFAULT",
        "Hardened profiles forbid it together with ptrace; Docker's default allows both. " + ByProfile);

    public static readonly PlatformFeature SignalFrame = new("signal frame size", true,
        "a signal frame is moved to a parking stack when a call needs the kernel",
        "The CPU's register state is larger than Rpal has room for (FamilyLayout.ParkingFrameBytes).");

    public static readonly PlatformFeature ExecutableMemory = new("executable memory", true,
        "calls, waits and trampolines are machine code written at run time",
        "A security policy (SELinux execmem, MDWE) forbids turning written pages executable: exempt rpal from it.");

    public static readonly PlatformFeature WaitKillable = new("killable notification", false,
        "a member's memory calls are not repeated at every signal",
        "Signals make the host answer some memory calls twice: slower under signals, otherwise the same. Linux 5.19 has it.");

    public static readonly PlatformFeature SyncWakeUp = new("synchronous wake-up", false,
        "the host answers memory calls on the caller's CPU",
        "Programs start more slowly. Linux 6.6 has it.");

    public static readonly PlatformFeature PidfdGetfd = new("pidfd_getfd", false,
        "mapping a member's files for it",
        "/proc/PID/fd is used in its place.");

    public static readonly PlatformFeature Rseq = new("rseq", false,
        "per-CPU counters and lists without atomic instructions",
        "Atomic instructions are used: slower, otherwise the same.");

    public static readonly PlatformFeature FutexWaitv = new("futex_waitv", false,
        "waiting for several peers with one system call",
        "Waiting for many takes one more wake-up.");

    public static readonly PlatformFeature SealedMemory = new("sealed memfd", false,
        "segments of shared memory: block pools, owned buffers, semaphores",
        "Families and calls work; segments (Rpal.Memory) do not. Needs memfd_create and file seals. " + ByProfile);

    public static readonly PlatformFeature FileLocks = new("open file locks", false,
        "telling which processes that share a segment still live",
        "Families and calls work; segments (Rpal.Memory) do not. Needs fcntl F_OFD_SETLK, and /proc/self/fd to open a segment anew.");

    public static readonly PlatformFeature HugePages = new("huge pages", false,
        "large segments with fewer page faults and TLB misses",
        "Small pages are used, or the segment is refused if it requires huge ones. Reserve some: sysctl vm.nr_hugepages=N (2 MiB each).");

    public static readonly PlatformFeature ProtectionKeys = new("protection keys", false,
        "members cannot write into each other's memory by accident",
        "No isolation between members: a stray write of one can damage another. Everything else works.");
}
