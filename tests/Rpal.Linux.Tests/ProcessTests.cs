using System.Diagnostics;

namespace Rpal.Linux.Tests;

public sealed unsafe class ProcessTests
{
    [Fact]
    public void A_pidfd_of_this_process_gives_a_copy_of_a_descriptor()
    {
        int self = Sys.PidfdOpen(Sys.GetPid(), 0);
        Assert.True(self >= 0, ErrnoText.Describe(self));
        int counter = Sys.EventFd(0, EventFdFlags.CloseOnExec);
        int copy = Sys.PidfdGetfd(self, counter, 0);
        Assert.True(copy >= 0, ErrnoText.Describe(copy));
        Assert.NotEqual(counter, copy);

        ulong one = 1, value;
        Assert.Equal(8, Sys.Write(copy, &one, 8));
        Assert.Equal(8, Sys.Read(counter, &value, 8));
        Assert.Equal(1ul, value);

        Assert.Equal(0, Sys.PidfdSendSignal(self, 0));
        Assert.Equal(-(int)Errno.EBADF, Sys.PidfdGetfd(self, int.MaxValue, 0));
        Assert.Equal(0, Sys.Close(copy));
        Assert.Equal(0, Sys.Close(counter));
        Assert.Equal(0, Sys.Close(self));
    }

    [Fact]
    public void A_killed_child_is_reported_with_its_signal()
    {
        using var sleeper = Child.Start("sleep", "60");
        Process child = sleeper.Process;
        int pidfd = Sys.PidfdOpen(child.Id, 0);
        Assert.True(pidfd >= 0, ErrnoText.Describe(pidfd));
        Assert.Equal(0, Sys.WaitPidfd(pidfd, WaitOptions.Exited | WaitOptions.NoHang | WaitOptions.NoWait, out SigInfoChild info));
        Assert.Equal(0, info.Pid);

        Assert.Equal(0, Sys.PidfdSendSignal(pidfd, Signal.SIGKILL));

        // NoWait leaves the zombie to the runtime; should the runtime have been faster, there is no child left to ask about.
        int result = Sys.WaitPidfd(pidfd, WaitOptions.Exited | WaitOptions.NoWait, out info);
        if (result == 0)
        {
            Assert.Equal((Signal.SIGCHLD, SignalCode.CldKilled, child.Id, Signal.SIGKILL), (info.SignalNumber, info.Code, info.Pid, info.Status));
        }
        else
        {
            Assert.Equal(-(int)Errno.ECHILD, result);
        }

        Assert.True(child.WaitForExit(10_000));
        Assert.Equal(128 + Signal.SIGKILL, child.ExitCode);
        Assert.Equal(0, Sys.Close(pidfd));
    }

    [Fact]
    public void Ids_are_those_of_the_runtime()
    {
        Assert.Equal(Environment.ProcessId, Sys.GetPid());
        Assert.True(Directory.Exists($"/proc/self/task/{Sys.GetTid()}"));
        Assert.Equal(-(int)Errno.ESRCH, Sys.Tgkill(Sys.GetPid(), int.MaxValue, 0));
        Assert.Equal(0, Sys.Kill(Sys.GetPid(), 0));
    }

    [Fact]
    public void A_thread_can_be_pinned_and_released()
    {
        Assert.Equal(0, Sys.SchedGetAffinity(0, out ulong before));
        ulong lowest = before & (~before + 1);

        Assert.Equal(0, Sys.SchedSetAffinity(0, lowest));
        try
        {
            Assert.Equal((long)lowest, Sys.SchedGetAffinity(0));
        }
        finally
        {
            Assert.Equal(0, Sys.SchedSetAffinity(0, before));
        }
    }

    [Fact]
    public void The_signal_mask_keeps_what_it_is_given()
    {
        const ulong Usr2 = 1ul << (Signal.SIGUSR2 - 1);
        ulong set = Usr2, before, during;

        Assert.Equal(0, Sys.RtSigprocmask(SignalMaskHow.Block, &set, &before));
        Assert.Equal(0, Sys.RtSigprocmask(SignalMaskHow.SetMask, &before, &during));

        Assert.Equal(before | Usr2, during);
    }

    [Fact]
    public void The_runtime_handles_faults_with_a_restorer_and_the_whole_signal_frame()
    {
        KernelSigaction action;
        Assert.Equal(0, Sys.RtSigaction(Signal.SIGSEGV, null, &action));

        Assert.NotEqual(0, action.Handler);
        Assert.NotEqual(0, action.Restorer);
        Assert.Equal(SignalActionFlags.SigInfo | SignalActionFlags.Restorer, action.Flags & (SignalActionFlags.SigInfo | SignalActionFlags.Restorer));
    }

    [Fact]
    public void A_filter_return_can_be_asked_for()
    {
        uint action = SeccompReturn.UserNotif, nonsense = 0x12340000;
        Assert.Equal(0, Sys.Seccomp(SeccompOp.GetActionAvailable, 0, &action));
        Assert.Equal(-(int)Errno.EOPNOTSUPP, Sys.Seccomp(SeccompOp.GetActionAvailable, 0, &nonsense));
    }

    [Fact]
    public void Membarrier_and_the_auxiliary_vector_answer()
    {
        Assert.NotEqual(0, Sys.Membarrier(MembarrierCommand.Query, 0) & MembarrierCommand.PrivateExpedited);
        Assert.Equal((ulong)Environment.SystemPageSize, Sys.GetAuxiliaryValue(AuxiliaryType.PageSize));
    }

    [Fact]
    public void The_dumpable_flag_reads_back()
    {
        Assert.InRange(Sys.Prctl(PrctlOp.GetDumpable, 0, 0, 0, 0), 0, 2);
        Assert.Equal(-(int)Errno.EINVAL, Sys.Prctl(-1, 0, 0, 0, 0));
    }
}
