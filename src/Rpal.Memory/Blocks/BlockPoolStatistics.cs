namespace Rpal.Memory.Blocks;

/// <summary>What happened in a pool, by all its processes.</summary>
/// <param name="Free">Blocks that are free now.</param>
/// <param name="AlreadyFree">Refused: see <see cref="BlockStatus.AlreadyFree"/>.</param>
/// <param name="NotOwned">Refused: see <see cref="BlockStatus.NotOwned"/>.</param>
/// <param name="OutOfRange">Refused: see <see cref="BlockStatus.OutOfRange"/>.</param>
/// <param name="Cycles">Refused: see <see cref="BlockStatus.Cycle"/>.</param>
/// <param name="Corrupt">Refused: see <see cref="BlockStatus.Corrupt"/>.</param>
/// <param name="Recovered">Blocks that were given back for dead processes.</param>
/// <param name="Allocations">Blocks that were allocated, each block's modulo 2^32: counted by the sequences in the blocks' words, so counting costs nothing. Those that are in use or were offered are not yet freed, all others are.</param>
public readonly record struct BlockPoolStatistics(int Free, long AlreadyFree, long NotOwned, long OutOfRange, long Cycles, long Corrupt, long Recovered, long Allocations);
