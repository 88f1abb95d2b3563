using System.Runtime.InteropServices;
using Rpal.Linux;
using Rpal.Machine.Blocks;
using Rpal.Machine.Emit;

namespace Rpal.Hosting.Loading;

/// <summary>What a new task does before it has a program of its own: system calls, one after the other, each with the name that messages
/// give it.</summary>
internal sealed unsafe class TaskSteps
{
    private const int StackBytes = 64 << 10;

    /// <summary>close_range(2), CLOSE_RANGE_UNSHARE.</summary>
    private const int CloseRangeUnshare = 2;

    /// <summary>Children that have been started and not reaped.</summary>
    private static readonly AwaitedChildren s_children = new();

    public List<SystemCallStep> List { get; } = [];

    public List<string> Names { get; } = [];

    /// <returns>Its place in the list; -1 when it is skipped.</returns>
    public int Add(string name, long number, nint a = 0, nint b = 0, nint c = 0, nint d = 0, bool required = true, bool skip = false)
    {
        if (skip)
        {
            return -1;
        }

        SystemCallStep step = new() { Number = number, Required = required ? 1 : 0 };
        (step.Arguments[0], step.Arguments[1], step.Arguments[2], step.Arguments[3]) = (a, b, c, d);
        List.Add(step);
        Names.Add(name);
        return List.Count - 1;
    }

    public void AddDefaultSignalActions(TaskMemory memory)
    {
        KernelSigaction* defaultAction = memory.Allocate<KernelSigaction>(KernelSigaction.SizeBytes);
        for (int signal = 1; signal <= 64; signal++)
        {
            _ = Add($"reset signal {signal}", SyscallNumber.RtSigaction, signal, (nint)defaultAction, 0, sizeof(ulong), required: false);
        }
    }

    /// <summary>A copy of the host's table. unshare(2) needs CAP_SYS_ADMIN under Docker's default profile.</summary>
    public int AddOwnDescriptors() =>
        Add("own descriptors", SyscallNumber.CloseRange, unchecked((nint)uint.MaxValue), unchecked((nint)uint.MaxValue), CloseRangeUnshare);

    public void AddOpenSignalMask(TaskMemory memory) =>
        Add("signal mask", SyscallNumber.RtSigprocmask, SystemCall.SetMask, (nint)memory.Allocate<ulong>(sizeof(ulong)), 0, sizeof(ulong));

    /// <summary>The steps as a task reads them, with a stack for it.</summary>
    public SpawnBlock* Block(TaskMemory memory)
    {
        SpawnBlock* block = memory.Allocate<SpawnBlock>(SpawnBlock.SizeBytes);
        block->Stack = (nint)memory.Allocate<byte>(StackBytes) + StackBytes - 64;
        block->Steps = memory.Copy<SystemCallStep>(CollectionsMarshal.AsSpan(List));
        block->StepCount = List.Count;
        return block;
    }

    /// <summary>Starts the task, a child of this thread, for whoever started it to reap.</summary>
    /// <returns>Its process number, or -errno.</returns>
    public static int Spawn(SpawnBlock* block) =>
        s_children.Start(() => ((delegate* unmanaged<SpawnBlock*, int>)FamilyHeader.At->Address(Routine.Spawn))(block));

    /// <summary>It has been reaped.</summary>
    public static void Forget(int pid) => s_children.Forget(pid);

    /// <inheritdoc cref="AwaitedChildren.ReapUnlessAwaited"/>
    public static bool ReapUnlessAwaited(int pid, Action reap) => s_children.ReapUnlessAwaited(pid, reap);
}
