namespace Rpal.Memory.Blocks;

/// <summary>How a pool is made.</summary>
public sealed record BlockPoolOptions
{
    /// <summary>Bytes of a block: a multiple of <see cref="BlockPool.BlockGranularity"/> up to <see cref="BlockPool.MostBlockBytes"/>.</summary>
    public int BlockBytes { get; init; } = 4096;

    /// <summary>How many, 1 to <see cref="BlockPool.MostBlocks"/>.</summary>
    public int BlockCount { get; init; } = 1024;

    /// <summary>Lists of free blocks beside the common one, one for each CPU: 0 to <see cref="BlockPool.MostCaches"/>. Default: as many as the machine has CPUs. A CPU behind them shares with another, with locked instructions.</summary>
    public int Caches { get; init; } = Math.Min(Environment.ProcessorCount, BlockPool.MostCaches);

    /// <summary>Whether CPUs' lists are changed by restartable sections where all processes have them (<c>docs/memory/percpu.md</c>). False: always with locked instructions,
    /// for a pool whose processes may not run on one another's CPUs (cpusets), and to measure the difference.</summary>
    public bool Sections { get; init; } = true;
}
