namespace Rpal.Memory.PerCpu;

/// <summary>A list of nodes for each CPU: the most recently freed first, and no atomic instruction. Nodes are numbers; a word for each, its link, lies beside.</summary>
/// <param name="Lines">A <see cref="PerCpuLine"/> for each CPU, <see cref="BytesOfLines"/>; zero at first.</param>
/// <param name="Links">A word for each node; the list's while the node is in it.</param>
/// <param name="Nodes">How many nodes there are. Nothing outside is followed, whoever wrote the lines and links.</param>
/// <remarks>
/// A node may come back on another CPU than it was put on, and nodes stay with a CPU that runs nothing any more: so lists of free blocks are
/// caches in front of one that all share. What a hostile process wrote can name a node that is in use: whoever takes one checks its state.
/// </remarks>
internal readonly unsafe record struct PerCpuList(nint Lines, nint Links, uint Nodes)
{
    /// <summary>Bytes that the lines of this machine's CPUs take.</summary>
    public static long BytesOfLines => (long)PossibleCpus.Count * PerCpuLine.SizeBytes;

    /// <summary>Puts a node that is the caller's onto this CPU's list.</summary>
    /// <returns>False: try something else, others were faster too often.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such node.</exception>
    public bool TryPush(uint node)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(node, Nodes);
        return PerCpuSections.TryPush((byte*)Lines, PerCpuLine.SizeBytes, (uint*)Links, node);
    }

    /// <summary>Takes the node put onto this CPU's list last.</summary>
    public PerCpuPop TryPop(out uint node) => PerCpuSections.TryPop((byte*)Lines, PerCpuLine.SizeBytes, (uint*)Links, Nodes, out node);
}
