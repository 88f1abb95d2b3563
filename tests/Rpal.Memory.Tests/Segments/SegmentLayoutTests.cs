using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Rpal.Linux.Tests;
using Rpal.Memory.Parties;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Tests.Segments;

/// <summary>What processes see of a segment's beginning lies where a C compiler has it for the structs of the diagrams.</summary>
public sealed class SegmentLayoutTests
{
    private const string Entry = "struct { unsigned kind, zero; long offset, lengthBytes, zero2; }";
    private const string Party = "struct { unsigned state, generation; int pid; unsigned zero; unsigned char name[48]; }";
    private const string Header = $"struct {{ unsigned long magic; unsigned version, headerBytes; long lengthBytes, address; unsigned long id; unsigned partCount, recoveries; long nextOffset, zero; {Entry} parts[64]; {Party} parties[32]; }}";

    [NeedsGccTheory]
    [InlineData(typeof(SegmentHeader), Header)]
    [InlineData(typeof(PartEntry), Entry)]
    [InlineData(typeof(PartyEntry), Party)]
    public void Structs_are_laid_out_as_drawn(Type type, string c)
    {
        FieldInfo[] fields = type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic);
        string Offset(string field) => $"__builtin_offsetof({c}, {char.ToLowerInvariant(field[0])}{field[1..]})";
        Dictionary<string, long?> worth = CompilerOracle.Evaluate([], [.. fields.Select(f => Offset(f.Name)), .. fields.Select(f => SizeOf(f.Name)), $"sizeof({c})"]);
        Assert.NotEmpty(fields);
        Assert.All(fields, f => Assert.Equal(worth[Offset(f.Name)], f.GetCustomAttribute<FieldOffsetAttribute>()!.Value));
        Assert.All(fields, f => Assert.Equal(worth[SizeOf(f.Name)], Marshal.SizeOf(f.FieldType)));
        Assert.Equal(worth[$"sizeof({c})"], type.StructLayoutAttribute!.Size);
        Assert.Equal(worth[$"sizeof({c})"], (int)type.GetField("SizeBytes")!.GetRawConstantValue()!);

        string SizeOf(string field) => $"sizeof((({c}*)0)->{char.ToLowerInvariant(field[0])}{field[1..]})";
    }

    [NeedsGccFact]
    public void Tables_follow_the_header_as_drawn()
    {
        string[] asked = [$"__builtin_offsetof({Header}, parts)", $"__builtin_offsetof({Header}, parties)", $"__builtin_offsetof({Header}, parts[1]) - __builtin_offsetof({Header}, parts)",
            $"__builtin_offsetof({Header}, parties[1]) - __builtin_offsetof({Header}, parties)"];
        Dictionary<string, long?> worth = CompilerOracle.Evaluate([], asked);
        int[] ours = [SegmentHeader.PartsOffset, SegmentHeader.PartiesOffset, Unsafe.SizeOf<PartEntry>(), Unsafe.SizeOf<PartyEntry>()];
        Assert.Equal(asked.Select(a => worth[a]), ours.Select(o => (long?)o));
        Assert.Equal((64, 32, 48), (SegmentHeader.PartCapacity, PartyTable.Capacity, PartyEntry.NameBytes));
    }

    /// <summary>The magic is text: a file is known by its first bytes.</summary>
    [Fact]
    public void A_segments_file_begins_with_its_name() =>
        Assert.Equal("RPALSEG\0"u8, MemoryMarshal.AsBytes(new ReadOnlySpan<ulong>([SegmentHeader.ExpectedMagic])));
}
