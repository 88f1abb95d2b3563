using Rpal.Linux;
using Rpal.Machine.Emit;

namespace Rpal.Machine.Platform;

/// <summary>What kills or changes the process that tries it: tried by tasks that end with it.</summary>
internal static unsafe class TaskProbes
{
    public static List<PlatformFinding> Run()
    {
        int r = CodeRegion.MapAny(out MachineCode code);
        var executable = PlatformFinding.FromCall(PlatformFeature.ExecutableMemory, "mapping the machine code", r, $"{code.Bytes.Length} bytes of machine code");
        return executable.Works ? [executable, .. Dispatch(), .. Notification()] : [executable, .. NotTried(executable.Feature.Name)];
    }

    /// <summary>The optional features that only a task can try, when none can run. The required ones are known from asking.</summary>
    public static List<PlatformFinding> NotTried(string missing) => [.. WithoutListener(missing), new(PlatformFeature.Rseq, false, $"not tried without {missing}")];

    private static IEnumerable<PlatformFinding> WithoutListener(string missing) =>
        new[] { PlatformFeature.WaitKillable, PlatformFeature.SyncWakeUp, PlatformFeature.PidfdGetfd }.Select(f => new PlatformFinding(f, false, $"not tried without {missing}"));

    /// <summary>A task registers rseq, dispatches its system calls and does one: SIGSYS kills it, which is the proof.</summary>
    private static List<PlatformFinding> Dispatch()
    {
        const int resourceCore = 4, rseqBytes = 32;
        const uint rseqSignature = 0x53053053;
        using var task = new ProbeTask();
        ulong* noCore = (ulong*)task.Scratch(2 * sizeof(ulong));
        (noCore[0], noCore[1]) = (1, 1);                         // 1, not 0: a core_pattern that is a pipe takes any limit but 1. Source: core(5)
        byte* rseqArea = task.Scratch(rseqBytes);
        byte* selector = task.Scratch(1);
        *selector = SyscallUserDispatch.FilterBlock;
        task.Add(SyscallNumber.Prlimit64, 0, resourceCore, (nint)noCore);
        int rseq = task.Add(SyscallNumber.Rseq, (nint)rseqArea, rseqBytes, 0, unchecked((nint)rseqSignature));
        int dispatch = task.Add(SyscallNumber.Prctl, PrctlOp.SetSyscallUserDispatch, SyscallUserDispatch.On, 0, 0, (nint)selector);
        task.Add(SyscallNumber.Getpid);
        int started = task.Start();
        if (started < 0)
        {
            return [PlatformFinding.FromCall(PlatformFeature.Dispatch, "clone", started), PlatformFinding.FromCall(PlatformFeature.Rseq, "clone", started)];
        }

        int signal = task.Wait();
        PlatformFinding dispatched = task.Result(dispatch) != 0
            ? PlatformFinding.FromCall(PlatformFeature.Dispatch, "prctl(59)", task.Result(dispatch))
            : new(PlatformFeature.Dispatch, signal == Signal.SIGSYS, signal == Signal.SIGSYS ? "a dispatched call raised SIGSYS" : "a call that should raise SIGSYS went through");
        return [dispatched, PlatformFinding.FromCall(PlatformFeature.Rseq, "rseq", task.Result(rseq), "registered")];
    }

    /// <summary>A task makes a listener; its getpid is answered here.</summary>
    private static List<PlatformFinding> Notification()
    {
        using var task = new ProbeTask();
        SockFilter* filter = (SockFilter*)task.Scratch(4 * SockFilter.SizeBytes);
        filter[0] = new(BpfCode.LoadWordAbsolute, 0);            // seccomp_data.nr
        filter[1] = new(BpfCode.JumpIfEqual, (uint)SyscallNumber.Getpid, 0, 1);
        filter[2] = new(BpfCode.Return, SeccompReturn.UserNotif);
        filter[3] = new(BpfCode.Return, SeccompReturn.Allow);
        SockFprog* program = (SockFprog*)task.Scratch(SockFprog.SizeBytes);
        program->Length = 4;
        program->Filter = filter;
        ulong* one = (ulong*)task.Scratch(sizeof(ulong));
        *one = 1;
        int ready = Sys.EventFd(0, 0);
        task.Add(SyscallNumber.Prctl, PrctlOp.SetNoNewPrivileges, 1);
        int killable = task.Add(SyscallNumber.Seccomp, (nint)SeccompOp.SetModeFilter, (nint)(SeccompFlags.NewListener | SeccompFlags.WaitKillableRecv), (nint)program);
        int plain = task.Add(SyscallNumber.Seccomp, (nint)SeccompOp.SetModeFilter, (nint)SeccompFlags.NewListener, (nint)program);   // EBUSY behind a first one
        task.Add(SyscallNumber.Write, ready, (nint)one, sizeof(ulong));
        int asked = task.Add(SyscallNumber.Getpid);
        try
        {
            int started = task.Start();
            PollFd* wake = stackalloc PollFd[2] { new() { Fd = ready, Events = PollEvents.In }, new() { Fd = task.Pidfd, Events = PollEvents.In } };
            if (started < 0 || ProbeTask.PollThrough(wake, 2) <= 0)
            {
                string found = started < 0 ? $"clone: {ErrnoText.Describe(started)}" : $"a task did not make a listener within {ProbeTask.TimeoutMs} ms";
                return [new(PlatformFeature.Notification, false, found), .. WithoutListener(PlatformFeature.Notification.Name)];
            }

            bool hasKillable = task.Result(killable) >= 0;
            int listener = (int)task.Result(hasKillable ? killable : plain);
            if (listener < 0)
            {
                return [PlatformFinding.FromCall(PlatformFeature.Notification, "making a listener", listener), .. WithoutListener(PlatformFeature.Notification.Name)];
            }

            int sync = Sys.NotifSetFlags(listener, SeccompNotifFlags.SyncWakeUp);
            int copy = Sys.PidfdGetfd(task.Pidfd, listener, 0);
            if (copy >= 0)
            {
                _ = Sys.Close(copy);
            }

            PlatformFinding notified = Answer(task, listener, asked);
            _ = Sys.Close(listener);
            return
            [
                notified,
                PlatformFinding.FromCall(PlatformFeature.WaitKillable, "WAIT_KILLABLE_RECV", task.Result(killable), "accepted"),
                PlatformFinding.FromCall(PlatformFeature.SyncWakeUp, "SYNC_WAKE_UP", sync, "accepted"),
                PlatformFinding.FromCall(PlatformFeature.PidfdGetfd, "pidfd_getfd", copy, "a descriptor copied"),
                PlatformFinding.FromCall(PlatformFeature.Pidfd, "waitid(P_PIDFD)", Math.Min(task.Wait(), 0), "a task waited for"),
            ];
        }
        finally
        {
            _ = Sys.Close(ready);
        }
    }

    private static PlatformFinding Answer(ProbeTask task, int listener, int asked)
    {
        const int answer = 4242;
        PollFd call = new() { Fd = listener, Events = PollEvents.In };
        SeccompNotif notification;
        if (ProbeTask.PollThrough(&call, 1) <= 0)
        {
            return new(PlatformFeature.Notification, false, "no notification came");
        }

        int r = Sys.NotifReceive(listener, &notification);
        if (r < 0)
        {
            return PlatformFinding.FromCall(PlatformFeature.Notification, "SECCOMP_IOCTL_NOTIF_RECV", r);
        }

        SeccompNotifResponse response = new() { Id = notification.Id, Value = answer };
        r = Sys.NotifSend(listener, &response);
        _ = task.Wait();
        return r < 0 ? PlatformFinding.FromCall(PlatformFeature.Notification, "SECCOMP_IOCTL_NOTIF_SEND", r)
            : new(PlatformFeature.Notification, task.Result(asked) == answer, task.Result(asked) == answer ? "a call answered" : "an answer did not arrive");
    }
}
