namespace Rpal.Memory.PerCpu;

/// <summary>What became of a store with a check.</summary>
internal enum PerCpuStore : byte
{
    /// <summary>The check held, and the value is there.</summary>
    Stored,

    /// <summary>The check word had another value: nothing was changed.</summary>
    Differs,

    /// <summary>Without sections: others were faster <see cref="PerCpuAtomics.AttemptsLimit"/> times.</summary>
    Busy,
}
