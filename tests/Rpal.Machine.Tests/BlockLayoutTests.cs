using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using Rpal.Machine.Blocks;

namespace Rpal.Machine.Tests;

/// <summary>What C# reads and writes by field lies where the machine code reads and writes it by offset, and where the diagram draws it.</summary>
public sealed partial class BlockLayoutTests
{
    private static readonly Type[] s_blocks =
    [
        typeof(CallFrame), typeof(FamilyHeader), typeof(MemberBlock), typeof(ReceiverBlock), typeof(ServiceEntry), typeof(SpawnBlock), typeof(SystemCallStep), typeof(ThreadAccount), typeof(ThreadBlock),
        typeof(RegisterServiceRequest),
    ];

    /// <summary>Constants that are not named after their field's beginning, and those that name a place without a field.</summary>
    private static readonly Dictionary<string, string?> s_other = new()
    {
        ["ReceiverBlock.AnswersForwardOffset"] = nameof(ReceiverBlock.AnswersRolledForward),
        ["SpawnBlock.MaskOffset"] = nameof(SpawnBlock.SavedMask),
        ["MemberBlock.ActionRecordsOffset"] = null,
    };

    public static TheoryData<string> Blocks() => new(s_blocks.Select(b => b.Name));

    [Theory]
    [MemberData(nameof(Blocks))]
    public void Offset_constants_are_the_fields_offsets(string block)
    {
        Type type = s_blocks.Single(b => b.Name == block);
        foreach (FieldInfo constant in type.GetFields(BindingFlags.Static | BindingFlags.Public).Where(f => f.IsLiteral && f.Name.EndsWith("Offset", StringComparison.Ordinal)))
        {
            string stem = constant.Name[..^"Offset".Length];
            string? name = s_other.TryGetValue($"{block}.{constant.Name}", out string? other) ? other
                : (Fields(type).FirstOrDefault(f => f.Name == stem) ?? Fields(type).FirstOrDefault(f => f.Name.StartsWith(stem, StringComparison.Ordinal)))?.Name
                    ?? throw new InvalidOperationException($"{block}.{constant.Name} belongs to no field.");
            if (name is not null)
            {
                Assert.True((int)constant.GetRawConstantValue()! == Offset(type, name), $"{block}.{constant.Name} is {constant.GetRawConstantValue()}, the field {name} at {Offset(type, name)}.");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Blocks))]
    public void Fields_are_aligned_and_do_not_overlap_and_the_size_is_the_declared_one(string block)
    {
        Type type = s_blocks.Single(b => b.Name == block);
        int end = 0;
        foreach (FieldInfo field in Fields(type).OrderBy(f => Offset(type, f.Name)))
        {
            int offset = Offset(type, field.Name);
            Assert.True(offset >= end, $"{block}.{field.Name} at {offset} begins before {end}.");
            Assert.True(offset % Math.Min(8, ElementSize(field)) == 0, $"{block}.{field.Name} at {offset} is not aligned.");
            end = offset + Size(field);
        }

        int size = (int)type.GetField("SizeBytes")!.GetRawConstantValue()!;
        Assert.True(end <= size);
        Assert.Equal(size, type.StructLayoutAttribute!.Size);
    }

    [Theory]
    [MemberData(nameof(Blocks))]
    public void Diagrams_draw_the_fields_where_they_are(string block)
    {
        Type type = s_blocks.Single(b => b.Name == block);
        string source = Directory.EnumerateFiles(Repository.PathOf("src", "Rpal.Machine", "Blocks"), "*.cs").Select(File.ReadAllText).Single(t => t.Contains($"struct {block}", StringComparison.Ordinal));
        int before = source.IndexOf($"struct {block}", StringComparison.Ordinal);
        string diagram = source[source.LastIndexOf("<code>", before, StringComparison.Ordinal)..source.LastIndexOf("</code>", before, StringComparison.Ordinal)];
        MatchCollection drawn = Drawn().Matches(diagram);
        Assert.NotEmpty(drawn);
        Assert.All(drawn, d =>
        {
            int offset = int.Parse(d.Groups[1].Value), bytes = int.Parse(d.Groups[4].Value) / 8 * (d.Groups[5].Success ? int.Parse(d.Groups[5].Value) : 1);
            FieldInfo? field = Fields(type).SingleOrDefault(f => Offset(type, f.Name) == offset);
            Assert.True(field is not null, $"{block}: nothing lies at {offset} ({d.Value}).");
            Assert.True(Size(field!) == bytes || field!.Name == nameof(ThreadBlock.Selector), $"{block}.{field!.Name} has {Size(field)} bytes, drawn as '{d.Value}'.");
        });

        // Both ways: no field is left out, and none is drawn twice.
        Assert.Equal(Fields(type).Select(f => $"{Offset(type, f.Name)}").Order(), drawn.Select(d => d.Groups[1].Value).Order());
    }

    [GeneratedRegex(@"(?<![a-z\d])(\d+) +([A-Za-z][A-Za-z\d,'\-]*(?: [A-Za-z][A-Za-z\d,'\-]*)*?) (u|i)(8|16|32|64)(?:\[(\d+)\])?(?= |,|:|<|\r|\n|$)")]
    private static partial Regex Drawn();

    private static FieldInfo[] Fields(Type type) => type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic);

    private static int Offset(Type type, string field) => type.GetField(field)!.GetCustomAttribute<FieldOffsetAttribute>()!.Value;

    private static int Size(FieldInfo field) =>
        field.GetCustomAttribute<FixedBufferAttribute>() is { } buffer ? buffer.Length * Marshal.SizeOf(buffer.ElementType) : ElementSize(field);

    private static int ElementSize(FieldInfo field)
    {
        Type type = field.GetCustomAttribute<FixedBufferAttribute>()?.ElementType ?? field.FieldType;
        return type.IsPointer ? IntPtr.Size : Marshal.SizeOf(type.IsEnum ? type.GetEnumUnderlyingType() : type);
    }
}
