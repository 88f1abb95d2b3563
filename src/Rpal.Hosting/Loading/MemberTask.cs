using Rpal.Linux;
using Rpal.Machine.Blocks;
using Rpal.Machine.Emit;

namespace Rpal.Hosting.Loading;

/// <summary>Starts a member's task: clone, then what execve would have done, as a list of system calls, then the program.</summary>
internal static unsafe class MemberTask
{
    private const long StartTimeoutNs = 10_000_000_000;
    private const int LowestClosed = 3;

    /// <param name="Pid">The new process.</param>
    /// <param name="Listener">Descriptor of its seccomp listener.</param>
    /// <param name="Pidfd">Descriptor of the process.</param>
    public readonly record struct Started(int Pid, int Listener, int Pidfd);

    /// <summary>The calling thread must live as long as the member: the member gets its parent death signal when it ends (PR_SET_PDEATHSIG).</summary>
    /// <exception cref="MemberStartException">A step failed; the task is gone.</exception>
    public static Started Start(string name, int slot, long entry, long rsp, string? workingDirectory, int stdin, int stdout, int stderr,
        int parentDeathSignal)
    {
        using var memory = new TaskMemory();
        var steps = new TaskSteps();
        SockFilter[] filter = SlotFilter.Build(slot);
        fixed (SockFilter* instructions = filter)
        {
            SockFprog* program = memory.Allocate<SockFprog>(SockFprog.SizeBytes);
            program->Length = (ushort)filter.Length;
            program->Filter = memory.Copy<SockFilter>(filter);

            steps.AddDefaultSignalActions(memory);
            StackT* none = memory.Allocate<StackT>(sizeof(StackT));
            none->Flags = SignalStackFlags.Disable;
            steps.Add("alternate stack", SyscallNumber.Sigaltstack, (nint)none);
            steps.Add("process group", SyscallNumber.Setpgid);
            steps.Add("parent death signal", SyscallNumber.Prctl, PrctlOp.SetParentDeathSignal, parentDeathSignal);
            steps.Add("name", SyscallNumber.Prctl, PrctlOp.SetName, (nint)memory.Text(name), required: false);
            steps.Add("no new privileges (needed for the filter without CAP_SYS_ADMIN)", SyscallNumber.Prctl, PrctlOp.SetNoNewPrivileges,
                1, required: !HostCapabilities.MayFilter, skip: HostCapabilities.MayFilter);
            int seccomp = steps.Add("system call filter", SyscallNumber.Seccomp, (nint)SeccompOp.SetModeFilter, (nint)ListenerFlags(), (nint)program);
            steps.AddOwnDescriptors();
            steps.Add("standard input", SyscallNumber.Dup2, stdin, 0);
            steps.Add("standard output", SyscallNumber.Dup2, stdout, 1);
            steps.Add("standard error", SyscallNumber.Dup2, stderr, 2);
            steps.Add("close the host's descriptors", SyscallNumber.CloseRange, LowestClosed, unchecked((nint)uint.MaxValue));
            steps.Add($"working directory {workingDirectory}", SyscallNumber.Chdir, (nint)memory.Text(workingDirectory ?? ""),
                skip: workingDirectory is null);
            steps.AddOpenSignalMask(memory);
            SpawnBlock* block = steps.Block(memory);
            block->Entry = (nint)entry;
            block->InitialRsp = (nint)rsp;

            int pid = TaskSteps.Spawn(block);
            if (pid < 0)
            {
                throw new MemberStartException(125, $"{name}: clone: "
                    + $"{ErrnoText.Describe(pid)}.{(pid == -(int)Errno.EAGAIN ? TaskLimits.Describe() : "")}");
            }

            int pidfd = Sys.PidfdOpen(pid, 0);                   // nobody else reaps our child: the number is still its
            if (pidfd < 0)
            {
                _ = Sys.Kill(pid, Signal.SIGKILL);
                if (Reap(pid) < 0)
                {
                    memory.Leak();                               // the task may still read it
                }
                else if (block->Steps[seccomp].Result > 0)
                {
                    _ = Sys.Close((int)block->Steps[seccomp].Result);     // descriptors are one table until it has its own
                }

                throw new MemberStartException(125, $"{name}: pidfd_open: {ErrnoText.Describe(pidfd)}.");
            }

            bool reached = AwaitStart(block, pidfd);
            int listener = (int)block->Steps[seccomp].Result;
            if (reached)
            {
                return new Started(pid, listener, pidfd);
            }

            SigInfoChild info = End(pid, pidfd);                      // one that did not come that far by itself
            _ = Sys.Close(pidfd);
            if (listener > 0)
            {
                _ = Sys.Close(listener);                         // 0 until the step was done, below 0 when it failed
            }

            throw new MemberStartException(125, block->Word == SpawnBlock.Failed
                ? $"{name}: {steps.Names[block->FailedStep]}: "
                + $"{ErrnoText.Describe((int)block->Steps[block->FailedStep].Result)}.{Nested(block->FailedStep == seccomp ? listener : 0)}"
                : $"{name}: its task did not reach its program within {StartTimeoutNs / 1_000_000_000} s (and was ended: {MemberExit.Of(info)}).");
        }
    }

    /// <summary>Waits for a child's end, by its number.</summary>
    public static int Reap(int pid)
    {
        int r;
        while ((r = Sys.Wait(pid, WaitOptions.Exited, out _)) == -(int)Errno.EINTR)
        {
        }

        TaskSteps.Forget(pid);
        return r;
    }

    /// <summary>Kills a task and waits for its end: until then it may run, and read what the host gave it.</summary>
    public static SigInfoChild End(int pid, int pidfd)
    {
        SigInfoChild info;
        _ = Sys.PidfdSendSignal(pidfd, Signal.SIGKILL);
        while (Sys.WaitPidfd(pidfd, WaitOptions.Exited, out info) == -(int)Errno.EINTR)
        {
        }

        TaskSteps.Forget(pid);
        return info;
    }

    /// <returns>Whether the task has jumped to its program; false when it failed, died on the way or took too long.</returns>
    private static bool AwaitStart(SpawnBlock* block, int pidfd)
    {
        const long lookNs = 100_000_000;
        long until = Environment.TickCount64 + StartTimeoutNs / 1_000_000;
        uint word;
        while ((word = Volatile.Read(ref block->Word)) == SpawnBlock.Running && Environment.TickCount64 < until)
        {
            if (Sys.WaitPidfd(pidfd, WaitOptions.Exited | WaitOptions.NoWait | WaitOptions.NoHang, out SigInfoChild info) == 0 && info.Pid != 0)
            {
                word = Volatile.Read(ref block->Word);           // it may have said so just before
                break;
            }

            _ = Sys.FutexWait(&block->Word, SpawnBlock.Running, lookNs);
        }

        return word == SpawnBlock.Started;
    }

    private static string Nested(int filterResult) => filterResult != -(int)Errno.EBUSY ? ""
        : " Something above this process supervises its system calls already, and the kernel allows one: "
        + "a member of a family, or its child, cannot host another family.";

    private static uint ListenerFlags() =>
        SeccompFlags.NewListener | (KernelVersion.Current >= new Version(5, 19) ? SeccompFlags.WaitKillableRecv : 0);
}
