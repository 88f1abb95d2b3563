using Rpal.Gcc;
using Rpal.Linux.Tests;
using Rpal.Memory.PerCpu;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Tests.PerCpu;

public sealed unsafe class PerCpuCounterTests
{
    private const int Nodes = 4;

    [Fact]
    public void A_counter_of_this_process_counts_what_its_threads_add()
    {
        const int threads = 4, rounds = 200_000;
        using var counter = new PerCpuCounter();
        TestThread[] all = [.. Enumerable.Range(0, threads).Select(t => TestThread.Start(() =>
        {
            for (int i = 0; i < rounds; i++)
            {
                counter.Add(t);
            }
        }))];
        Array.ForEach(all, t => t.Join(PeerProcess.Patience));
        Assert.Equal((0 + 1 + 2 + 3) * rounds, counter.Sum());
        counter.Add(long.MinValue);
        counter.Add(long.MinValue);
        Assert.Equal((0 + 1 + 2 + 3) * rounds, counter.Sum());
        Assert.Equal(-1, counter.Part);
    }

    [Fact]
    public void A_disposed_counter_refuses()
    {
        var counter = new PerCpuCounter();
        counter.Dispose();
        counter.Dispose();
        Assert.Throws<ObjectDisposedException>(() => counter.Add(1));
        Assert.Throws<ObjectDisposedException>(() => counter.Sum());
    }

    [Fact]
    public void A_counter_in_a_segment_is_found_by_its_part_and_by_nothing_else()
    {
        using Segment segment = Segment.Create(1 << 20);
        using PerCpuCounter made = PerCpuCounter.Create(segment);
        using PerCpuCounter opened = PerCpuCounter.Open(segment, made.Part);
        made.Add(2);
        opened.Add(3);
        Assert.Equal((5, 5), (made.Sum(), opened.Sum()));
        int bytes = segment.Add(PartKind.Bytes, 4096).Index, short1 = segment.Add(PartKind.Counters, PerCpuLine.SizeBytes - 1).Index;
        Assert.All((int[])[bytes, short1, 99, -1], p => Assert.Equal(SegmentError.NoSuchPart, Assert.Throws<SegmentException>(() => PerCpuCounter.Open(segment, p)).Error));
    }

    [Theory]
    [InlineData(uint.MaxValue)]
    [InlineData(Nodes + 1u)]
    [InlineData(0x8000_0000u)]
    public void A_head_that_names_no_node_is_not_followed(uint head)
    {
        byte* memory = stackalloc byte[(int)PerCpuList.BytesOfLines + PerCpuLine.SizeBytes];
        uint* links = stackalloc uint[Nodes];
        byte* lines = (byte*)((nint)memory + PerCpuLine.SizeBytes - 1 & -PerCpuLine.SizeBytes);
        var list = new PerCpuList((nint)lines, (nint)links, Nodes);
        for (int i = 0; i < PossibleCpus.Count; i++)
        {
            ((PerCpuLine*)lines)[i] = new PerCpuLine { Own = head, Shared = head };
        }

        Assert.Equal(PerCpuPop.Corrupt, list.TryPop(out _));
        Assert.Equal(PerCpuPop.Corrupt, PerCpuAtomics.TryPop(lines, PerCpuLine.SizeBytes, links, Nodes, out _));
        Assert.Throws<ArgumentOutOfRangeException>(() => list.TryPush(Nodes));
    }

    [Fact]
    public void Both_lanes_take_what_was_put_last_first()
    {
        byte* lines = stackalloc byte[(int)PerCpuList.BytesOfLines];
        uint* links = stackalloc uint[Nodes];
        for (uint i = 0; i < Nodes; i++)
        {
            Assert.True(PerCpuAtomics.TryPush(lines, 0, links, i));      // stride 0: one line for all CPUs
        }

        for (uint i = Nodes; i-- > 0;)
        {
            Assert.Equal(PerCpuPop.Taken, PerCpuAtomics.TryPop(lines, 0, links, Nodes, out uint node));
            Assert.Equal(i, node);
        }

        Assert.Equal(PerCpuPop.Empty, PerCpuAtomics.TryPop(lines, 0, links, Nodes, out _));
    }

    [Fact]
    public void A_store_happens_only_while_the_check_holds()
    {
        ulong* line = stackalloc ulong[2];
        (line[0], line[1]) = (7, 7);
        byte* lines = (byte*)line;
        Assert.Equal(PerCpuStore.Differs, PerCpuSections.TryStore(lines, 0, 8, 1));
        Assert.Equal(PerCpuStore.Differs, PerCpuAtomics.TryStore(lines, 0, 8, 1));
        Assert.Equal((7ul, 7ul), (line[0], line[1]));
        Assert.Equal(PerCpuStore.Stored, PerCpuAtomics.TryStore(lines, 0, 7, 5));
        Assert.Equal(5ul << 32 | 7, line[1]);
        Assert.Equal(PerCpuStore.Stored, PerCpuSections.TryStore(lines, 0, 7, 9));
        Assert.Contains(9ul << 32 | 7, (ulong[])[line[0], line[1]]);
    }

    /// <summary>All of a kernel's possible CPUs have a line: a number beyond would be another's memory.</summary>
    [Fact]
    public void The_possible_CPUs_are_at_least_those_that_are_there() =>
        Assert.True(PossibleCpus.Count >= Environment.ProcessorCount && PossibleCpus.Count > PerCpuSections.CurrentCpu());

    [NeedsGccFact]
    public void A_line_has_the_layout_that_gcc_gives_it()
    {
        const string line = "struct { unsigned long long own; unsigned long long shared; char rest[48]; }";
        string[] asked = [$"offsetof({line}, own)", $"offsetof({line}, shared)", $"sizeof({line})"];
        Dictionary<string, long?> gcc = CompilerOracle.Evaluate([], asked);
        Assert.Equal([PerCpuLine.OwnOffset, PerCpuLine.SharedOffset, PerCpuLine.SizeBytes], asked.Select(a => (int)gcc[a]!));
        Assert.Equal((PerCpuLine.OwnOffset, PerCpuLine.SharedOffset), ((int)System.Runtime.InteropServices.Marshal.OffsetOf<PerCpuLine>("Own"), (int)System.Runtime.InteropServices.Marshal.OffsetOf<PerCpuLine>("Shared")));
    }
}
