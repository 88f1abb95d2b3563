using System.Reflection;
using System.Runtime.InteropServices;
using Rpal.Linux.Tests;
using Rpal.Memory.Blocks;

namespace Rpal.Memory.Tests.Blocks;

/// <summary>What processes see of a pool lies where a C compiler has it for the structs of the diagrams.</summary>
public sealed class BlockLayoutTests
{
    private const string Header = "struct { unsigned blockBytes, blockCount, cacheCount, lockedOnly; char zero[112]; unsigned recovering, unfinished; unsigned long alreadyFree, notOwned, outOfRange, cycles, corrupt, recovered, moved; char zero3[64]; }";
    private const string Reference = "struct { unsigned first, sequence; long lengthBytes; }";
    private const string Word = "struct { unsigned char state, party, generation, giver; unsigned sequence; }";

    [NeedsGccFact]
    public void Structs_are_laid_out_as_drawn()
    {
        Dictionary<string, (Type Type, string C)> structs = new() { ["BlockPoolHeader"] = (typeof(BlockPoolHeader), Header), ["BlockReference"] = (typeof(BlockReference), Reference) };
        foreach ((Type type, string c) in structs.Values)
        {
            FieldInfo[] fields = type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic);
            string Offset(string field) => $"__builtin_offsetof({c}, {char.ToLowerInvariant(field[0])}{field[1..]})";
            Dictionary<string, long?> worth = CompilerOracle.Evaluate([], [.. fields.Select(f => Offset(f.Name)), $"sizeof({c})"]);
            Assert.All(fields, f => Assert.Equal(worth[Offset(f.Name)], f.GetCustomAttribute<FieldOffsetAttribute>()!.Value));
            Assert.Equal(worth[$"sizeof({c})"], Marshal.SizeOf(type));
            Assert.Equal((int)type.GetField("SizeBytes")!.GetRawConstantValue()!, Marshal.SizeOf(type));
        }
    }

    [NeedsGccFact]
    public void A_word_has_its_fields_where_they_are_drawn()
    {
        string[] fields = ["state", "party", "generation", "giver", "sequence"];
        string Value(string field) => $"({{ union {{ {Word} f; unsigned long v; }} u = {{ 0 }}; u.f.{field} = 3; (long)u.v; }})";
        Dictionary<string, long?> worth = CompilerOracle.Evaluate([], fields.Select(Value));
        BlockWord[] ours = [BlockWord.Of((BlockState)3, 0, 0, 0), BlockWord.Of(0, 3, 0, 0), BlockWord.Of(0, 0, 3, 0), BlockWord.Of(0, 0, 0, 0, 3), BlockWord.Of(0, 0, 0, 3)];
        Assert.Equal(fields.Select(f => worth[Value(f)]), ours.Select(o => (long?)o.Value));
        BlockWord all = BlockWord.Of(BlockState.Offered, 31, 0x1234, uint.MaxValue, 30);
        Assert.Equal((BlockState.Offered, 31, (byte)0x34, 30, uint.MaxValue), (all.State, all.Party, all.Generation, all.Giver, all.Sequence));
        Assert.Equal(BlockState.Free, all.With(BlockState.Free).State);
    }

    [Theory]
    [InlineData(64, 1, 0)]
    [InlineData(192, 77, 3)]
    [InlineData(4096, 1000, 256)]
    [InlineData(BlockPool.MostBlockBytes, BlockPool.MostBlocks, BlockPool.MostCaches)]
    public void Tables_follow_one_another_aligned(int blockBytes, int blocks, int caches)
    {
        var layout = new BlockPoolLayout(blockBytes, blocks, caches);
        Assert.True(layout.IsValid);
        Assert.Equal(BlockPoolHeader.SizeBytes + 128L * (1 + caches), layout.WordsOffset);
        Assert.Equal(layout.WordsOffset + 8L * blocks, layout.LinksOffset);
        Assert.InRange(layout.DataOffset, layout.LinksOffset + 4L * blocks, layout.LinksOffset + 4L * blocks + 4095);
        Assert.Equal(0, layout.DataOffset % layout.Alignment);
        Assert.Equal(layout.DataOffset + (long)blocks * blockBytes, layout.LengthBytes);
    }
}
