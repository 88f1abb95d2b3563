using Rpal.Hosting.Loading;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Keeping;

/// <summary>A keeper's process and the socket to it.</summary>
/// <remarks>
/// Started like a member's task, up to execve, and not by <see cref="System.Diagnostics.Process"/>: that one reaps every child where the
/// host is process 1, so that members' exit codes would be lost. Its runtime starts no thread after its beginning: no tiered compilation,
/// no concurrent collection, no diagnostics.
/// </remarks>
internal sealed unsafe class KeeperProcess : IDisposable
{
    /// <summary>The socket's number in the keeper.</summary>
    private const int SocketThere = 3;

    /// <summary>For a task's first steps: longer, and it is stopped or the machine stands still; then it fails at a later step, and says
    /// so.</summary>
    private const int StepPatienceMs = 10_000;

    /// <summary>No system call's result.</summary>
    private const long NotDone = long.MaxValue;

    private readonly TaskMemory _memory;
    private readonly SpawnBlock* _block;
    private readonly TaskSteps _steps;
    private readonly int _pid;
    private bool _hasProgram;

    private KeeperProcess(int pid, int pidfd, int socket, TaskMemory memory, SpawnBlock* block, TaskSteps steps)
    {
        (_pid, Pidfd, Socket, _memory, _steps) = (pid, pidfd, socket, memory, steps);
        _block = block;
    }

    public int Pidfd { get; }

    public int Socket { get; }

    /// <exception cref="MemberStartException">It cannot be started.</exception>
    public static KeeperProcess Start(IReadOnlyList<string> command, HostExitPolicy policy)
    {
        int theirs = -1, nothing = -1, ours = -1;
        var memory = new TaskMemory();
        try
        {
            int r = Sys.SocketPair(SocketDomain.Unix, SocketType.SequencedPacket | SocketType.CloseOnExec, out ours, out int there);
            Require("its socket", r);
            theirs = Sys.DuplicateFrom(there, SocketThere + 1);
            _ = Sys.Close(there);
            Require("its socket", theirs);
            ours = OutputPipe.AboveStandard(ours);
            nothing = OutputPipe.AboveStandard(Sys.Open("/dev/null", OpenFlags.ReadWrite | OpenFlags.CloseOnExec));
            Require("/dev/null", nothing);

            string path = command[0];
            var steps = new TaskSteps();
            steps.AddDefaultSignalActions(memory);
            int own = steps.AddOwnDescriptors();
            steps.Add("standard input", SyscallNumber.Dup2, nothing, 0);
            steps.Add("socket", SyscallNumber.Dup2, theirs, SocketThere);
            steps.Add("close the host's descriptors", SyscallNumber.CloseRange, SocketThere + 1, unchecked((nint)uint.MaxValue));
            steps.AddOpenSignalMask(memory);
            steps.Add($"execute {path}", SyscallNumber.Execve, (nint)memory.Text(path),
                (nint)memory.Texts([.. command, $"{SocketThere}", $"{policy}"]), (nint)memory.Texts(Environment()));
            SpawnBlock* block = steps.Block(memory);
            block->Steps[own].Result = NotDone;
            int pid = TaskSteps.Spawn(block);
            Require("clone", pid);
            int pidfd = Sys.PidfdOpen(pid, 0);
            if (pidfd < 0)
            {
                _ = Sys.Kill(pid, Signal.SIGKILL);               // nobody else reaps our child: the number is still its
                MemberTask.Reap(pid);
                Require("pidfd_open", pidfd);
            }

            AwaitStep(&block->Steps[own].Result, pidfd);         // until then its descriptors are the host's
            return new KeeperProcess(pid, pidfd, ours, memory, block, steps);
        }
        catch
        {
            memory.Dispose();
            Close(ours);
            throw;
        }
        finally
        {
            Close(theirs, nothing);
        }
    }

    /// <summary>It has said something: it needs the host's memory no more.</summary>
    public void HasProgram()
    {
        if (!_hasProgram)
        {
            _hasProgram = true;
            _memory.Dispose();
        }
    }

    public void Kill() => Sys.PidfdSendSignal(Pidfd, Signal.SIGKILL);

    /// <summary>Takes its end, for which it waits.</summary>
    /// <returns>How it ended, for the operator.</returns>
    public string Reap()
    {
        SigInfoChild info;
        int r;
        while ((r = Sys.WaitPidfd(Pidfd, WaitOptions.Exited, out info)) == -(int)Errno.EINTR)
        {
        }

        TaskSteps.Forget(_pid);
        return !_hasProgram && _block->Word == SpawnBlock.Failed
            ? $"{_steps.Names[_block->FailedStep]}: {ErrnoText.Describe((int)_block->Steps[_block->FailedStep].Result)}"
            : r < 0 ? $"it is not known how: {ErrnoText.Describe(r)}"
            : $"{MemberExit.Of(info)}";
    }

    /// <summary>After <see cref="Reap"/>.</summary>
    public void Dispose()
    {
        HasProgram();
        Close(Socket, Pidfd);
    }

    /// <summary>The first of its steps but for signals; the task makes no sound, so it is looked at.</summary>
    private static void AwaitStep(long* result, int pidfd)
    {
        const int lookMs = 1;
        PollFd ended = new() { Fd = pidfd, Events = PollEvents.In };
        for (int looks = 0; Volatile.Read(ref *result) == NotDone && looks < StepPatienceMs / lookMs
            && Sys.Poll(&ended, 1, lookMs) <= 0; looks++)
        {
        }
    }

    private static void Close(params ReadOnlySpan<int> descriptors)
    {
        foreach (int fd in descriptors)
        {
            _ = fd < 0 ? 0 : Sys.Close(fd);
        }
    }

    private static IEnumerable<string> Environment()
    {
        Dictionary<string, string> variables = [];
        foreach (System.Collections.DictionaryEntry e in System.Environment.GetEnvironmentVariables())
        {
            variables[(string)e.Key] = (string?)e.Value ?? "";
        }

        foreach (string name in (string[])["DOTNET_TieredCompilation", "DOTNET_gcConcurrent", "DOTNET_gcServer",
            "DOTNET_EnableDiagnostics"])
        {
            variables[name] = "0";
        }

        _ = variables.Remove("DOTNET_STARTUP_HOOKS");            // meant for the host's program
        return variables.Select(v => $"{v.Key}={v.Value}");
    }

    private static void Require(string what, int result)
    {
        if (result < 0)
        {
            throw new MemberStartException(125, $"The keeper cannot be started: {what}: "
                + $"{ErrnoText.Describe(result)}.{(result == -(int)Errno.EAGAIN ? TaskLimits.Describe() : "")}");
        }
    }
}
