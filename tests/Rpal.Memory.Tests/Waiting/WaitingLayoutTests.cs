using System.Diagnostics;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Rpal.Memory.Waiting;

namespace Rpal.Memory.Tests.Waiting;

/// <summary>What processes share lies where the diagrams draw it: gcc is given the same fields, and asked.</summary>
public sealed class WaitingLayoutTests
{
    private const string Source = """
        #include <stdint.h>
        #include <stddef.h>
        #include <stdio.h>
        struct SemaphoreBlock { union { uint64_t State; struct { uint32_t Count, Waiting; }; }; uint32_t Limit, LinkMask; uint64_t Links[14]; };
        struct SemaphoreSetBlock { uint32_t SeatCount, MemberCapacity; uint8_t zero[120]; };
        struct SeatBlock { uint32_t Parked, Owner; uint64_t Summary; uint8_t zero[48]; uint64_t Bells[]; };
        #define F(type, field) printf(#type "." #field " %zu\n", offsetof(struct type, field));
        #define S(type) printf(#type " %zu\n", sizeof(struct type));
        int main(void) {
            F(SemaphoreBlock, State) F(SemaphoreBlock, Count) F(SemaphoreBlock, Waiting) F(SemaphoreBlock, Limit) F(SemaphoreBlock, LinkMask) F(SemaphoreBlock, Links) S(SemaphoreBlock)
            F(SemaphoreSetBlock, SeatCount) F(SemaphoreSetBlock, MemberCapacity) S(SemaphoreSetBlock)
            F(SeatBlock, Parked) F(SeatBlock, Owner) F(SeatBlock, Summary) S(SeatBlock) F(SeatBlock, Bells)
        }
        """;

    [NeedsGccFact]
    public void Shared_structs_have_the_layout_that_gcc_gives_them()
    {
        string directory = Directory.CreateTempSubdirectory("rpal-waiting-").FullName;
        try
        {
            string source = Path.Combine(directory, "ask.c"), program = Path.Combine(directory, "ask");
            File.WriteAllText(source, Source);
            _ = Run("gcc", "-o", program, source);
            string theirs = Run(program);
            string ours = string.Concat(new[] { typeof(SemaphoreBlock), typeof(SemaphoreSetBlock), typeof(SeatBlock) }.Select(Describe)) + $"SeatBlock.Bells {SeatBlock.BellsOffset}\n";
            Assert.Equal(theirs, ours);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    [Fact]
    public void A_link_keeps_what_is_put_into_it()
    {
        var link = new SemaphoreLink(31, 63, 31, 4095);
        Assert.Equal((31, 63, 31, 4095), (link.Party, link.Part, link.Seat, link.Member));
        link = new SemaphoreLink(0, 0, 0, 0);
        Assert.Equal((0, 0, 0, 0), (link.Party, link.Part, link.Seat, link.Member));
        Assert.NotEqual(0ul, link.Word);
        Assert.Equal(-1, default(SemaphoreLink).Party);
        Assert.Equal(128, SeatBlock.BytesFor(64));
        Assert.Equal(640, SeatBlock.BytesFor(4096));
    }

    private static string Describe(Type type) =>
        string.Concat(type.GetFields(BindingFlags.Public | BindingFlags.Instance).Select(f => $"{type.Name}.{f.Name} {f.GetCustomAttribute<FieldOffsetAttribute>()!.Value}\n"))
        + $"{type.Name} {(int)type.GetField("SizeBytes")!.GetRawConstantValue()!}\n";

    private static string Run(string program, params string[] arguments)
    {
        ChildOutput ran = Child.Run(PeerProcess.Patience, program, arguments);
        Assert.True(ran.ExitCode == 0, $"{program}: {ran.Error}");
        return ran.Output;
    }
}
