using Rpal.Memory.Parties;

namespace Rpal.Memory.Blocks;

/// <summary>
/// Whose a block is, in one word that only changes by compare-and-swap. Written by the block's party, by whoever claims a free block, and by recoveries.
/// </summary>
/// <remarks><code>
///  0 state u8         a BlockState
///  8 party u8         whose it is; of Offered and Orphaned whom it was given to; 0 of Free
/// 16 generation u8    low bits of that party's generation: a number's next process has nothing to do with its predecessor's blocks
/// 24 giver u8         of Offered and Orphaned, the party that gave it
/// 32 sequence u32     one more with each claim, so that each stay on a list has a number of its own
/// </code></remarks>
internal readonly record struct BlockWord(ulong Value)
{
    public BlockState State => (BlockState)(byte)Value;

    public int Party => (byte)(Value >> 8);

    public byte Generation => (byte)(Value >> 16);

    public int Giver => (byte)(Value >> 24);

    public uint Sequence => (uint)(Value >> 32);

    public static BlockWord Of(BlockState state, int party, uint generation, uint sequence, int giver = 0) =>
        new((ulong)state | ((ulong)(byte)party << 8) | ((ulong)(byte)generation << 16) | ((ulong)(byte)giver << 24) | ((ulong)sequence << 32));

    public static BlockWord Free(uint sequence) => new((ulong)sequence << 32);

    public BlockWord With(BlockState state) => new((Value & ~0xFFUL) | (ulong)state);

    public bool Is(BlockState state, Party party) => (uint)Value << 8 == (uint)Of(state, party.Number, party.Generation, 0).Value << 8;
}
