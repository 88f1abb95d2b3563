using System.Runtime.InteropServices;

namespace Rpal.Memory.PerCpu;

/// <summary>What a pop of a pool's block returns, in two registers.</summary>
/// <remarks>0 index s64, or negative as <see cref="Rpal.Machine.Emit.Emitter.PopEmpty"/> | 8 word u64, Free with the sequence that it has.</remarks>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct PerCpuBlock
{
    public readonly long Index;
    public readonly ulong Word;
}
