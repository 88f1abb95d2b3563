namespace Rpal.Memory.PerCpu;

/// <summary>What became of taking a node from a per-CPU list.</summary>
internal enum PerCpuPop : byte
{
    /// <summary>It is the caller's now.</summary>
    Taken,

    /// <summary>The CPU's list has none.</summary>
    Empty,

    /// <summary>The list's head names no node: somebody wrote it who should not have. Nothing was changed; what lies below it is lost.</summary>
    Corrupt,

    /// <summary>Without sections: others were faster <see cref="PerCpuAtomics.AttemptsLimit"/> times.</summary>
    Busy,
}
