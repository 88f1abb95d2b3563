using System.Diagnostics;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Rpal.Gcc;
using Rpal.Linux;
using Rpal.Memory.Buffers;
using Rpal.Memory.Buffers.Guards;
using Rpal.Memory.Parties;

namespace Rpal.Memory.Tests.Buffers;

/// <summary>What two processes, or C# and machine code, see lies where a C compiler puts it.</summary>
public sealed class BufferLayoutTests
{
    [NeedsGccFact]
    public void Offsets_are_the_C_compilers()
    {
        const string source = """
            #include <stdio.h>
            #include <stddef.h>
            #include <stdint.h>
            struct BufferHeader { uint64_t Magic; uint32_t Level, Means; int64_t LengthBytes, RoomBytes; uint32_t FallBack; _Alignas(64) uint64_t Word; uint32_t Wait, zero; uint64_t Seats[24]; } __attribute__((packed));
            struct GuardEntry { int64_t Begin, End; uint64_t *Word; uint32_t TextLengthBytes, zero; char Text[480]; };
            struct GuardTableHeader { uint32_t Count, KeyOffset; void *Previous, *PreviousArithmetic; _Alignas(64) char end[0]; };
            #define SHOW(s, f) printf(#s " " #f " %zu\n", offsetof(struct s, f));
            int main(void) {
                SHOW(BufferHeader, Magic) SHOW(BufferHeader, Level) SHOW(BufferHeader, Means) SHOW(BufferHeader, LengthBytes) SHOW(BufferHeader, RoomBytes) SHOW(BufferHeader, FallBack)
                SHOW(BufferHeader, Word) SHOW(BufferHeader, Wait) SHOW(BufferHeader, Seats)
                SHOW(GuardEntry, Begin) SHOW(GuardEntry, End) SHOW(GuardEntry, Word) SHOW(GuardEntry, TextLengthBytes) SHOW(GuardEntry, Text)
                SHOW(GuardTableHeader, Count) SHOW(GuardTableHeader, KeyOffset) SHOW(GuardTableHeader, Previous) SHOW(GuardTableHeader, PreviousArithmetic)
                printf("GuardEntry SizeBytes %zu\nGuardTableHeader SizeBytes %zu\nBufferHeader SizeBytes %zu\n", sizeof(struct GuardEntry), offsetof(struct GuardTableHeader, end), offsetof(struct BufferHeader, Seats) + 24 * 8);
            }
            """;
        Type[] types = [typeof(BufferHeader), typeof(GuardEntry), typeof(GuardTableHeader)];
        int compared = 0;
        foreach (string line in Compile(source).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] words = line.Split(' ');
            Type type = types.Single(t => t.Name == words[0]);
            FieldInfo field = type.GetField(words[1], BindingFlags.Public | BindingFlags.Static | BindingFlags.Instance)!;
            int ours = field.IsLiteral ? (int)field.GetRawConstantValue()! : field.GetCustomAttribute<FieldOffsetAttribute>()!.Value;
            Assert.True(ours == int.Parse(words[2]), $"{line}, here {ours}");
            compared++;
        }

        Assert.Equal(types.Sum(t => t.GetFields(BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance).Length) + types.Length, compared);
    }

    [Fact]
    public void Sizes_are_the_declared_ones()
    {
        Assert.Equal(BufferHeader.SizeBytes, Unsafe.SizeOf<BufferHeader>());
        Assert.Equal(GuardEntry.SizeBytes, Unsafe.SizeOf<GuardEntry>());
        Assert.Equal(GuardTableHeader.SizeBytes, Unsafe.SizeOf<GuardTableHeader>());
        Assert.True(BufferHeader.SizeBytes <= BufferHeader.AreaBytes);
    }

    [Fact]
    public void The_words_parts_do_not_overlap()
    {
        LockWord word = new LockWord(0).TakenBy(31, 0x3F_FFFF);
        Assert.Equal((31, 0x3F_FFFF, 1, 0u, false, false), (word.Writer, word.WriterThread, word.Version, word.Readers, word.IsTorn, word.IsExclusive));
        LockWord handed = word.HandedTo(new Party(31, 0xFEDC_BA98));
        Assert.Equal((31, 0, 0u, false, true, true), (handed.Writer, handed.WriterThread, handed.Readers, handed.IsTorn, handed.IsSane, handed.IsOnItsWay));
        Assert.True(handed.IsHandedTo(new Party(31, 0xFEDC_BA98)) && !handed.IsHandedTo(new Party(31, 0xFEDC_BA99)) && !handed.IsHandedTo(new Party(30, 0xFEDC_BA98)));
        Assert.Equal(word, handed.AcceptedBy(31, 0x3F_FFFF));
        LockWord free = word.Freed(torn: true);
        Assert.True(free.IsFree && free.IsTorn && free.IsSane && free.Version == 1);
        for (int i = 1; i < 1024; i++)
        {
            free = free.TakenBy(0, 1).Freed(torn: true);
        }

        Assert.Equal((0, true), (free.Version, free.IsTorn));
        LockWord read = free.WithReader(23, exclusive: true);
        Assert.True(read.IsSane && read.IsExclusive && read.HasReader(23) && read.Writer == -1 && read.ReaderCount == 1);
        Assert.Equal(free, read.WithoutReader(23));
        Assert.False(read.WithReader(1, false).IsSane);
        ulong seat = ReaderSeat.Of(31, 0x3F_FFFF, ulong.MaxValue);
        Assert.Equal((31, 0x3F_FFFF), (ReaderSeat.PartyOf(seat), ReaderSeat.ThreadOf(seat)));
    }

    private static string Compile(string source)
    {
        string folder = Directory.CreateTempSubdirectory("rpal-layout-").FullName;
        try
        {
            string file = Path.Combine(folder, "ask.c"), program = Path.Combine(folder, "ask");
            File.WriteAllText(file, source);
            Run("gcc", "-w", "-o", program, file);
            return Run(program);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static string Run(string program, params string[] arguments)
    {
        ChildOutput ran = Child.Run(PeerProcess.Patience, program, arguments);
        Assert.True(ran.ExitCode == 0, $"{program}: {ran.Error}");
        return ran.Output;
    }
}
