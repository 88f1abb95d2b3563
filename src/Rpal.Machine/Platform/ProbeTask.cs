using System.Runtime.InteropServices;
using Rpal.Linux;
using Rpal.Machine.Blocks;
using Rpal.Machine.Emit;

namespace Rpal.Machine.Platform;

/// <summary>A list of system calls run by a task of its own, started by the routine that starts members: what goes wrong there harms nobody here.</summary>
/// <remarks>It shares memory and descriptors with this process, so that results can be read and a listener it makes is ours too.</remarks>
internal sealed unsafe class ProbeTask : IDisposable
{
    private const int StackBytes = 16 << 10;
    private const int StepCapacity = 12;
    private const int ScratchBytes = 256;

    /// <summary>Result of a step that did not run, or did not return.</summary>
    public const long NotReturned = long.MinValue;

    /// <summary>The longest that a probe may take: far more than any of these calls needs.</summary>
    public const int TimeoutMs = 1000;

    private readonly byte* _memory;
    private readonly SpawnBlock* _block;
    private int _scratchUsed;
    private int _pid;
    private bool _running;
    private int _end;

    public ProbeTask()
    {
        int bytes = SpawnBlock.SizeBytes + StepCapacity * SystemCallStep.SizeBytes + ScratchBytes + StackBytes;
        _memory = (byte*)NativeMemory.AlignedAlloc((nuint)bytes, 64);
        NativeMemory.Clear(_memory, (nuint)bytes);
        _block = (SpawnBlock*)_memory;
        _block->Steps = (SystemCallStep*)(_memory + SpawnBlock.SizeBytes);
        _block->Stack = (nint)_memory + bytes - 64;
        Add(SyscallNumber.Prctl, PrctlOp.SetParentDeathSignal, Signal.SIGKILL);
    }

    /// <summary>Of the running task.</summary>
    public int Pidfd { get; private set; } = -1;

    /// <summary>Memory that lives as long as the task, 32-byte aligned.</summary>
    public byte* Scratch(int bytes)
    {
        byte* p = (byte*)(_block->Steps + StepCapacity) + _scratchUsed;
        _scratchUsed += (bytes + 31) & -32;
        return _scratchUsed <= ScratchBytes ? p : throw new InvalidOperationException($"{_scratchUsed} bytes of scratch memory; a probe has {ScratchBytes}.");
    }

    /// <returns>The step's index.</returns>
    public int Add(long number, nint a = 0, nint b = 0, nint c = 0, nint d = 0, nint e = 0)
    {
        int index = (int)_block->StepCount;
        if (index == StepCapacity)
        {
            throw new InvalidOperationException($"A probe has at most {StepCapacity} steps.");
        }

        SystemCallStep* step = _block->Steps + index;
        (step->Number, step->Result) = (number, NotReturned);
        (step->Arguments[0], step->Arguments[1], step->Arguments[2], step->Arguments[3]) = (a, b, c, d);
        step->Arguments[4] = e;
        _block->StepCount++;
        return index;
    }

    /// <summary>Starts the steps; behind the last one the task exits.</summary>
    /// <returns>0, or -errno of mapping the code, clone(2) or pidfd_open(2).</returns>
    public int Start()
    {
        Add(SyscallNumber.ExitGroup);
        int r = CodeRegion.MapAny(out MachineCode code);
        if (r < 0)
        {
            return r;
        }

        _pid = ((delegate* unmanaged<SpawnBlock*, int>)code.Routines[Routine.Spawn])(_block);
        if (_pid < 0)
        {
            return _pid;
        }

        _running = true;
        Pidfd = Sys.PidfdOpen(_pid, 0);
        return Math.Min(Pidfd, 0);
    }

    public long Result(int step) => Volatile.Read(ref _block->Steps[step].Result);

    /// <summary>Waits for the end of the task; kills it when that takes too long.</summary>
    /// <returns>The signal that ended it, 0 when it did all its steps, or -errno of waitid(2).</returns>
    public int Wait()
    {
        if (!_running)
        {
            return _end;
        }

        PollFd end = new() { Fd = Pidfd, Events = PollEvents.In };
        if (Pidfd < 0 || PollThrough(&end, 1) <= 0)
        {
            _ = Sys.Kill(_pid, Signal.SIGKILL);
        }

        if (Pidfd < 0)
        {
            return -(int)Errno.EBADF;                            // nothing to wait with: the zombie ends with this process, its memory is leaked
        }

        SigInfoChild info;
        int r;
        while ((r = Sys.WaitPidfd(Pidfd, WaitOptions.Exited, out info)) == -(int)Errno.EINTR)
        {
        }

        _running = r < 0;
        _end = r < 0 ? r : info.Code == SignalCode.CldExited ? 0 : info.Status;
        return _end;
    }

    /// <summary>poll(2) that a signal does not cut short, for <see cref="TimeoutMs"/> at most.</summary>
    public static int PollThrough(PollFd* fds, uint count)
    {
        long until = Environment.TickCount64 + TimeoutMs;
        int ready;
        while ((ready = Sys.Poll(fds, count, (int)Math.Max(until - Environment.TickCount64, 0))) == -(int)Errno.EINTR)
        {
        }

        return ready;
    }

    public void Dispose()
    {
        if (_running)
        {
            _ = Sys.Kill(_pid, Signal.SIGKILL);
            _ = Wait();
        }

        if (Pidfd >= 0)
        {
            _ = Sys.Close(Pidfd);
        }

        if (!_running)
        {
            NativeMemory.AlignedFree(_memory);                   // else the task may still read it
        }
    }
}
