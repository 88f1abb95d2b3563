using System.Runtime.CompilerServices;
using Rpal.Linux;
using Rpal.Machine.Blocks;
using Rpal.Machine.Emit;
using Rpal.Machine.Platform;

namespace Rpal.Memory.PerCpu;

/// <summary>
/// Operations on the words of the CPU that the calling thread runs on, with no atomic instruction: restartable sections, rseq(2). The kernel
/// starts them again when the thread was preempted, moved to another CPU or signalled in the middle.
/// </summary>
/// <remarks>
/// <para>All take the <see cref="PerCpuLine"/> of CPU 0 and the distance to the next CPU's; there must be <see cref="PossibleCpus"/> of them. Words are
/// indexed by the CPU's number, so they may lie in memory that several processes share.</para>
/// <para>They are called without a transition of the collector (SuppressGCTransition): a few nanoseconds, no system call, no wait. Where sections
/// are missing, <see cref="PerCpuAtomics"/> does the same on the line's other lane. Source: seed 004, rseq(2).</para>
/// </remarks>
internal static unsafe class PerCpuSections
{
    /// <summary>Set to <c>atomics</c>, a process does without sections: for tests, and for finding out what they gain.</summary>
    public const string Variable = "RPAL_PERCPU";

    private static readonly bool s_sections;
    private static readonly string? s_missing;
    private static readonly delegate* unmanaged[SuppressGCTransition]<byte*, nint, long, int> s_add;
    private static readonly delegate* unmanaged[SuppressGCTransition]<byte*, nint, uint*, uint, int> s_push;
    private static readonly delegate* unmanaged[SuppressGCTransition]<byte*, nint, uint*, uint, long> s_pop;
    private static readonly delegate* unmanaged[SuppressGCTransition]<byte*, nint, uint, uint, int> s_store;
    private static readonly delegate* unmanaged[SuppressGCTransition]<byte*, uint, uint*, uint, uint, uint, int> s_blockPush;
    private static readonly delegate* unmanaged[SuppressGCTransition]<byte*, uint, uint*, ulong*, uint, PerCpuBlock> s_blockPop;
    private static readonly delegate* unmanaged[SuppressGCTransition]<RseqArea*> s_area;

    /// <summary>The kernel's area of this thread; null before the first look.</summary>
    [ThreadStatic]
    private static RseqArea* t_area;

#pragma warning disable CA1810 // one decision for all fields; a static constructor is what makes them constants for the compiler
    static PerCpuSections()
#pragma warning restore CA1810
    {
        PerCpuCode? code = null;
        s_missing = $"{Variable}=atomics";
        if (Environment.GetEnvironmentVariable(Variable) != "atomics")
        {
            code = PerCpuCode.Map(out s_missing);
        }

        if (code is not null)
        {
            s_sections = true;
            s_add = (delegate* unmanaged[SuppressGCTransition]<byte*, nint, long, int>)code.Labels["percpu_add"];
            s_push = (delegate* unmanaged[SuppressGCTransition]<byte*, nint, uint*, uint, int>)code.Labels["percpu_push"];
            s_pop = (delegate* unmanaged[SuppressGCTransition]<byte*, nint, uint*, uint, long>)code.Labels["percpu_pop"];
            s_store = (delegate* unmanaged[SuppressGCTransition]<byte*, nint, uint, uint, int>)code.Labels["percpu_store"];
            s_blockPush = (delegate* unmanaged[SuppressGCTransition]<byte*, uint, uint*, uint, uint, uint, int>)code.Labels["percpu_block_push"];
            s_blockPop = (delegate* unmanaged[SuppressGCTransition]<byte*, uint, uint*, ulong*, uint, PerCpuBlock>)code.Labels["percpu_block_pop"];
            s_area = (delegate* unmanaged[SuppressGCTransition]<RseqArea*>)code.Labels["percpu_area"];
        }
    }

    /// <summary>Whether this process has sections. Decided once.</summary>
    public static bool AreUsed => s_sections;

    /// <summary>Why it has none, or null.</summary>
    public static string? Missing => s_missing;

    /// <summary>Adds to the CPU's own counter.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Add(byte* lines, nint strideBytes, long value)
    {
        if (!s_sections || (PerCpuThread.IsArmed ? Family.Add(lines, strideBytes, value) : s_add(lines, strideBytes, value)) < 0)
        {
            PerCpuAtomics.Add(lines, strideBytes, value);
        }
    }

    /// <summary>Puts a node that is the caller's onto the CPU's list. <c>links[node]</c> is written.</summary>
    /// <returns>False: see <see cref="PerCpuPop.Busy"/>.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryPush(byte* lines, nint strideBytes, uint* links, uint node)
    {
        int r = !s_sections ? -1 : PerCpuThread.IsArmed ? Family.Push(lines, strideBytes, links, node) : s_push(lines, strideBytes, links, node);
        return r >= 0 || PerCpuAtomics.TryPush(lines, strideBytes, links, node);
    }

    /// <summary>Takes a node from the CPU's list.</summary>
    /// <param name="lines">The line of CPU 0.</param>
    /// <param name="strideBytes">To the next CPU's.</param>
    /// <param name="links">One for each node.</param>
    /// <param name="nodes">How many there are: a head that names no node is not followed.</param>
    /// <param name="node">What was taken.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PerCpuPop TryPop(byte* lines, nint strideBytes, uint* links, uint nodes, out uint node)
    {
        long r = !s_sections ? Emitter.NotRegistered : PerCpuThread.IsArmed ? Family.Pop(lines, strideBytes, links, nodes) : s_pop(lines, strideBytes, links, nodes);
        node = (uint)r;
        return r >= 0 ? PerCpuPop.Taken
            : r == Emitter.NotRegistered ? PerCpuAtomics.TryPop(lines, strideBytes, links, nodes, out node)
            : r == Emitter.PopEmpty ? PerCpuPop.Empty : PerCpuPop.Corrupt;
    }

    /// <summary>Compares the lane's check word, and stores its value word where it is as expected. Whoever changes checks writes those of both lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PerCpuStore TryStore(byte* lines, nint strideBytes, uint expected, uint value)
    {
        int r = !s_sections ? -1 : PerCpuThread.IsArmed ? Family.Store(lines, strideBytes, expected, value) : s_store(lines, strideBytes, expected, value);
        return r < 0 ? PerCpuAtomics.TryStore(lines, strideBytes, expected, value) : (PerCpuStore)r;
    }

    /// <summary>Puts a block of a pool onto the list of the CPU's lane. Only where <see cref="AreUsed"/>; there is nothing else that it could do instead.</summary>
    /// <param name="lanes">CPU 0's lane; the next is <see cref="Emitter.BlockLaneStrideBytes"/> on.</param>
    /// <param name="cpus">How many there are.</param>
    /// <param name="links">One for each block.</param>
    /// <param name="block">The caller's.</param>
    /// <param name="limit">Most blocks of a lane.</param>
    /// <param name="blocks">How many there are.</param>
    /// <returns><see cref="Emitter.BlockPushed"/>, <see cref="Emitter.BlockNotPushed"/>, or <see cref="Emitter.NotRegistered"/>, also for a CPU without a lane.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int PushBlock(byte* lanes, uint cpus, uint* links, uint block, uint limit, uint blocks) =>
        PerCpuThread.IsArmed ? Family.PushBlock(lanes, cpus, links, block, limit, blocks) : s_blockPush(lanes, cpus, links, block, limit, blocks);

    /// <summary>Takes the block on top of the list of the CPU's lane, and makes it Free if it was Releasing. As <see cref="PushBlock"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PerCpuBlock PopBlock(byte* lanes, uint cpus, uint* links, ulong* words, uint blocks) =>
        PerCpuThread.IsArmed ? Family.PopBlock(lanes, cpus, links, words, blocks) : s_blockPop(lanes, cpus, links, words, blocks);

    /// <summary>The CPU that the thread runs on, perhaps no longer when this returns: one load, inlined, from the area that the kernel keeps.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int CurrentCpu()
    {
        RseqArea* area = t_area;
        int cpu = area is not null && !PerCpuThread.IsArmed ? (int)Volatile.Read(ref area->Cpu) : -1;
        return cpu >= 0 ? cpu : CurrentCpuSlow();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int CurrentCpuSlow()
    {
        int cpu = -1;
        if (s_sections && PerCpuThread.IsArmed)
        {
            cpu = Family.Number();
        }
        else if (s_sections)
        {
            t_area = s_area();
            cpu = (int)Volatile.Read(ref t_area->Cpu);
        }

        return cpu >= 0 ? cpu : PerCpuAtomics.Cpu;
    }

    /// <summary>The family's copy: the area is found through the kernel thread.</summary>
    private static class Family
    {
        public static int Add(byte* lines, nint strideBytes, long value) =>
            ((delegate* unmanaged[SuppressGCTransition]<byte*, nint, long, int>)FamilyHeader.At->Address(Routine.PerCpuAdd))(lines, strideBytes, value);

        public static int Push(byte* lines, nint strideBytes, uint* links, uint node) =>
            ((delegate* unmanaged[SuppressGCTransition]<byte*, nint, uint*, uint, int>)FamilyHeader.At->Address(Routine.PerCpuPush))(lines, strideBytes, links, node);

        public static long Pop(byte* lines, nint strideBytes, uint* links, uint nodes) =>
            ((delegate* unmanaged[SuppressGCTransition]<byte*, nint, uint*, uint, long>)FamilyHeader.At->Address(Routine.PerCpuPop))(lines, strideBytes, links, nodes);

        public static int Store(byte* lines, nint strideBytes, uint expected, uint value) =>
            ((delegate* unmanaged[SuppressGCTransition]<byte*, nint, uint, uint, int>)FamilyHeader.At->Address(Routine.PerCpuStore))(lines, strideBytes, expected, value);

        public static int PushBlock(byte* lanes, uint cpus, uint* links, uint block, uint limit, uint blocks) =>
            ((delegate* unmanaged[SuppressGCTransition]<byte*, uint, uint*, uint, uint, uint, int>)FamilyHeader.At->Address(Routine.PerCpuBlockPush))(lanes, cpus, links, block, limit, blocks);

        public static PerCpuBlock PopBlock(byte* lanes, uint cpus, uint* links, ulong* words, uint blocks) =>
            ((delegate* unmanaged[SuppressGCTransition]<byte*, uint, uint*, ulong*, uint, PerCpuBlock>)FamilyHeader.At->Address(Routine.PerCpuBlockPop))(lanes, cpus, links, words, blocks);

        public static int Number() => ((delegate* unmanaged[SuppressGCTransition]<int>)FamilyHeader.At->Address(Routine.PerCpuNumber))();
    }
}
