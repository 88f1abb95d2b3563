using System.Text.RegularExpressions;
using Rpal.Memory.PerCpu;
using Rpal.Memory.Segments;
using Xunit.Abstractions;

namespace Rpal.Memory.Tests.PerCpu;

/// <summary>Processes whose threads count and pass nodes around while they are moved between CPUs and signalled.</summary>
/// <remarks>A second and a half each; RPAL_LONG=1 makes it 45.</remarks>
public sealed unsafe partial class PerCpuStormTests(ITestOutputHelper output)
{
    private const int Nodes = 24, Workers = 3, ShortMs = 1500, LongMs = 45_000;

    private static int DurationMs => Long.Choose(ShortMs, LongMs);

    [Fact]
    public void In_one_process_counts_are_exact_and_no_node_is_lost_or_doubled() => Storm("");

    [Fact]
    public void Between_two_processes_too() => Storm("", "");

    [Fact]
    public void Without_sections_too() => Storm("RPAL_PERCPU=atomics", "RPAL_PERCPU=atomics");

    [Fact]
    public void A_process_whose_libc_registers_nothing_shares_with_one_that_has_sections() => Storm("", "GLIBC_TUNABLES=glibc.pthread.rseq=0");

    /// <param name="settings">For each process an environment variable.</param>
    private void Storm(params string[] settings)
    {
        using Segment segment = Segment.Create(1 << 20);
        PerCpuCounter counter = PerCpuCounter.Create(segment);
        Part part = segment.Add(PartKind.Bytes, PerCpuList.BytesOfLines + Nodes * 2 * sizeof(uint));
        PerCpuList list = Fill(part);
        counter.Add(1);
        long added = 1;
        PeerProcess[] peers = [.. settings.Select(s => Start(s, segment, counter.Part, part.Index))];
        try
        {
            for (int i = 0; i < peers.Length; i++)
            {
                Assert.Equal(0, peers[i].WaitForExit(PeerProcess.Patience));
                Match said = Said().Match(peers[i].ToString());
                output.WriteLine($"{settings[i]} {said.Value}");
                Assert.Equal(settings[i] == "" && PerCpuSections.AreUsed, bool.Parse(said.Groups[1].Value));
                Assert.Equal("0", said.Groups[4].Value);
                Assert.All((int[])[2, 3, 5, 6], g => Assert.True(long.Parse(said.Groups[g].Value) > 0, said.Value));
                added += long.Parse(said.Groups[2].Value);
            }
        }
        finally
        {
            Array.ForEach(peers, p => p.Dispose());
        }

        Assert.Equal(added, counter.Sum());
        Assert.Equal(Enumerable.Range(0, Nodes).Select(n => (uint)n), NodesOf(list).Order());
    }

    /// <summary>Nodes in both lanes: a process takes from the one that it uses.</summary>
    private static PerCpuList Fill(Part part)
    {
        var list = new PerCpuList((nint)part.Address, (nint)(part.Address + PerCpuList.BytesOfLines), Nodes);
        for (uint i = 0; i < Nodes; i++)
        {
            Assert.True(i % 2 == 0 ? list.TryPush(i) : PerCpuAtomics.TryPush((byte*)list.Lines, PerCpuLine.SizeBytes, (uint*)list.Links, i));
        }

        return list;
    }

    /// <summary>Of all CPUs and both lanes; nobody changes them any more.</summary>
    private static List<uint> NodesOf(PerCpuList list)
    {
        List<uint> found = [];
        for (int cpu = 0; cpu < PossibleCpus.Count; cpu++)
        {
            PerCpuLine* line = (PerCpuLine*)list.Lines + cpu;
            foreach (uint head in (uint[])[(uint)line->Own, (uint)line->Shared])
            {
                for (uint next = head; next != 0 && found.Count <= Nodes; next = ((uint*)list.Links)[next - 1])
                {
                    found.Add(next - 1);
                }
            }
        }

        return found;
    }

    private static PeerProcess Start(string setting, Segment segment, int counter, int list)
    {
        string[] pair = setting.Split('=', 2);
        Environment.SetEnvironmentVariable(pair is ["", ..] ? "RPAL_NOTHING" : pair[0], pair.Length > 1 ? pair[1] : null);
        try
        {
            PeerProcess peer = PeerProcess.Start("percpu-storm", $"{counter}", $"{list}", $"{Nodes}", $"{DurationMs}", $"{Workers}");
            peer.Send(segment);
            return peer;
        }
        finally
        {
            Environment.SetEnvironmentVariable(pair is ["", ..] ? "RPAL_NOTHING" : pair[0], null);
        }
    }

    [GeneratedRegex(@"sections (\w+) added (\d+) taken (\d+) shared (\d+) moves (\d+) signals (\d+)")]
    private static partial Regex Said();
}
