using Iced.Intel;
using Rpal.Linux;
using Rpal.Machine.Emit;
using Rpal.Memory.PerCpu;
using Rpal.Memory.Segments;

namespace Rpal.MemoryPeer.Roles;

/// <summary>Per-CPU sections in a process that is moved, signalled and stopped at every instruction.</summary>
internal static unsafe class PerCpuRoles
{
    public static void Add(Dictionary<string, Func<Peer, int>> roles)
    {
        roles.Add("percpu-storm", peer => PerCpuStorm.Run(peer));
        roles.Add("pool-storm", peer => PerCpuStorm.RunPool(peer));
        roles.Add("percpu-points", Points);
        roles.Add("percpu-number", Number);
        roles.Add("percpu-unregistered", Unregistered);
    }

    /// <summary>On each CPU that it may use: does the number say so?</summary>
    private static int Number(Peer peer)
    {
        _ = Sys.SchedGetAffinity(0, out ulong all);
        int wrong = 0;
        for (int cpu = 0; cpu < 64; cpu++)
        {
            if ((all >> cpu & 1) != 0 && Sys.SchedSetAffinity(0, 1ul << cpu) >= 0)
            {
                wrong += PerCpuSections.CurrentCpu() == cpu && PerCpuAtomics.Cpu == cpu && cpu < PossibleCpus.Count ? 0 : 1;
            }
        }

        Peer.Say($"sections {PerCpuSections.AreUsed} wrong {wrong} missing: {PerCpuSections.Missing}");
        return peer.Words.Length;
    }

    /// <summary>A thread that the kernel does not know: both lanes count.</summary>
    private static int Unregistered(Peer peer)
    {
        using var counter = new PerCpuCounter();
        counter.Add(1);
        int r = Sys.RseqUnregister(Sys.LibcRseqArea(), RseqArea.SizeBytes);
        counter.Add(2);
        bool numbered = PerCpuSections.CurrentCpu() >= 0;
        var list = NewList(4);
        bool pushed = list.TryPush(3);
        PerCpuPop popped = list.TryPop(out uint node), again = list.TryPop(out _);
        Peer.Say($"unregistered {r} sum {counter.Sum()} numbered {numbered} list {pushed} {popped} {node} {again}");
        return peer.Words.Length;
    }

    /// <summary>A list of this process alone; never freed.</summary>
    private static PerCpuList NewList(uint nodes)
    {
        byte* memory = (byte*)Sys.Mmap(0, (nuint)(PerCpuList.BytesOfLines + nodes * sizeof(uint)), Prot.Read | Prot.Write, MapFlags.Private | MapFlags.Anonymous, -1, 0);
        return new PerCpuList((nint)memory, (nint)(memory + PerCpuList.BytesOfLines), nodes);
    }

    /// <summary>Each operation with a breakpoint at each instruction in turn: the section starts again, and its effect is there once.</summary>
    private static int Points(Peer peer)
    {
        const int signal = 45;
        PerCpuCode code = PerCpuCode.Map(out string? missing) ?? throw new InvalidOperationException(missing);
        PerCpuNative.Install(signal);
        _ = Sys.SchedGetAffinity(0, out ulong all);
        int cpu = System.Numerics.BitOperations.TrailingZeroCount(all);
        _ = Sys.SchedSetAffinity(0, 1ul << cpu);
        _ = Sys.Mprotect((nint)code.Begin & ~4095, 4096, Prot.Read | Prot.Write | Prot.Exec);
        byte* lines = (byte*)NewList(0).Lines;
        PerCpuLine* line = (PerCpuLine*)lines + cpu;
        uint* links = stackalloc uint[8];
        uint node = 0;
        long added = 0;
        Try(code, "percpu_add", () => PerCpuSections.Add(lines, PerCpuLine.SizeBytes, 3), () => (long)line->Own == (added += 3));
        *line = default;
        uint pushed = 0;
        Try(code, "percpu_push", () => PerCpuSections.TryPush(lines, PerCpuLine.SizeBytes, links, 5), () => line->Own == 6 && links[5] == pushed && (line->Own = pushed = pushed + 1) > 0);
        PerCpuPop popped = default;
        void Pop() => popped = PerCpuSections.TryPop(lines, PerCpuLine.SizeBytes, links, 8, out node);
        void Given(uint head) => (line->Own, links[2]) = (head, 7);
        Given(3);
        Try(code, "percpu_pop", Pop, () => { bool ok = popped == PerCpuPop.Taken && node == 2 && line->Own == 7; Given(3); return ok; });
        *line = default;
        Try(code, "percpu_pop", Pop, () => popped == PerCpuPop.Empty && line->Own == 0);
        line->Own = 9;
        Try(code, "percpu_pop", Pop, () => popped == PerCpuPop.Corrupt && line->Own == 9);
        PerCpuStore stored = default;
        uint value = 0;
        line->Own = 4;
        Try(code, "percpu_store", () => stored = PerCpuSections.TryStore(lines, PerCpuLine.SizeBytes, 4, ++value), () => stored == PerCpuStore.Stored && line->Own == ((ulong)value << 32 | 4));
        ulong before = line->Own;
        Try(code, "percpu_store", () => stored = PerCpuSections.TryStore(lines, PerCpuLine.SizeBytes, 5, 1), () => stored == PerCpuStore.Differs && line->Own == before);
        BlockPoints(code, lines + (cpu * PerCpuLine.SizeBytes), links, (uint)cpu);
        Peer.Say("points done");
        return peer.Words.Length;
    }

    /// <summary>The lane of a pool of eight blocks: link, word and head as they were, or all as they are to be.</summary>
    private static void BlockPoints(PerCpuCode code, byte* line, uint* links, uint cpu)
    {
        const uint blocks = 8, limit = 3;
        ulong* words = stackalloc ulong[(int)blocks];
        ulong* lane = (ulong*)line;
        byte* first = line - (cpu * Emitter.BlockLaneStrideBytes);
        int pushed = 0;
        void Push() => pushed = PerCpuSections.PushBlock(first, cpu + 1, links, 5, limit, blocks);
        void Given(ulong head, ulong word) => (*lane, links[2], links[5], words[2]) = (head, 7, 99, word);
        Given(2UL << 32 | 4, 0);
        Try(code, "percpu_block_push", Push, () => { bool ok = pushed == Emitter.BlockPushed && *lane == (3UL << 32 | 6) && links[5] == 4; Given(2UL << 32 | 4, 0); return ok; });
        Given(3UL << 32 | 4, 0);
        Try(code, "percpu_block_push", Push, () => pushed == Emitter.BlockNotPushed && *lane == (3UL << 32 | 4) && links[5] == 99);
        PerCpuBlock popped = default;
        void Pop() => popped = PerCpuSections.PopBlock(first, cpu + 1, links, words, blocks);
        const ulong releasing = 77UL << 32 | 0x040302, free = 77UL << 32;
        Given(2UL << 32 | 3, releasing);
        Try(code, "percpu_block_pop", Pop, () => { bool ok = popped is { Index: 2, Word: free } && *lane == (1UL << 32 | 7) && words[2] == free; Given(2UL << 32 | 3, releasing); return ok; });
        Given(2UL << 32 | 3, releasing - 1);                     // owned
        Try(code, "percpu_block_pop", Pop, () => popped.Index == Emitter.PopCorrupt && *lane == (2UL << 32 | 3) && words[2] == releasing - 1);
        Given(0, 0);
        Try(code, "percpu_block_pop", Pop, () => popped.Index == Emitter.PopEmpty && *lane == 0);
    }

    private static void Try(PerCpuCode code, string name, Action operation, Func<bool> isRight)
    {
        operation();                                             // the runtime compiles what it needs first
        int wrong = isRight() ? 0 : 1, inside = 0, hit = 0, aborted = 0;
        PerCpuSection section = code.Sections.Single(s => s.Name == name);
        foreach (long at in Instructions(code.Labels[name], section.Abort))
        {
            ulong hits = PerCpuNative.Hits;
            PerCpuNative.Break(at);
            operation();
            bool wasHit = PerCpuNative.Hits != hits, isInside = at >= section.Start && at < section.End;
            if (!wasHit)
            {
                PerCpuNative.Clear(at);
            }

            wrong += isRight() && PerCpuNative.Hits - hits <= 1 && (!wasHit || PerCpuNative.LastRip == (isInside ? section.Abort : at + 1)) ? 0 : 1;
            (inside, hit, aborted) = (inside + (isInside ? 1 : 0), hit + (wasHit ? 1 : 0), aborted + (wasHit && isInside ? 1 : 0));
        }

        Peer.Say($"{name} inside {inside} hit {hit} aborted {aborted} wrong {wrong}");
    }

    private static long[] Instructions(long from, long to)
    {
        var decoder = Decoder.Create(64, new ByteArrayCodeReader(new Span<byte>((byte*)from, (int)(to - from)).ToArray()), (ulong)from);
        List<long> all = [];
        while (decoder.IP < (ulong)to)
        {
            all.Add((long)decoder.Decode().IP);
        }

        return [.. all];
    }
}
