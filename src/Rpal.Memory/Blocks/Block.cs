namespace Rpal.Memory.Blocks;

/// <summary>A block in one of its lives: a copy that outlives a free is refused instead of touching the next owner's bytes.</summary>
/// <param name="Index">0 to <see cref="BlockPool.BlockCount"/> - 1: the same in every process.</param>
/// <param name="Sequence">Which life.</param>
public readonly record struct Block(int Index, uint Sequence);
