using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Rpal.Linux;
using Rpal.Machine.Emit;
using Rpal.Memory.PerCpu;

namespace Rpal.Cli.Bench;

/// <summary>Seed 004's table. Rows are measured in turns on one CPU, so that all see the same machine; a figure is the median of its batches.</summary>
internal static unsafe class PerCpuFigures
{
    private const int Batches = 31, Rounds = 1_000_000, WarmUps = 40, WarmUpRounds = 20_000, Stride = PerCpuLine.SizeBytes, Nodes = 8;
    private static readonly TimeSpan s_compilePause = TimeSpan.FromMilliseconds(250);
    private static PerCpuCode s_code = null!;
    private static byte* s_lines;
    private static uint* s_links;
    private static PerCpuCounter s_counter = null!;

    private static readonly (string Name, Action<int> Run)[] s_rows =
    [
        ("baseline", Plain),
        ("lock_cmpxchg", LockedExchange),
        ("percpu", Section),
        ("percpu_counter", Counter),
        ("percpu_atomics", Atomics),
        ("getcpu", GetCpu),
        ("rseq_cpu", AreaCpu),
        ("list_percpu", ListSections),
        ("list_atomics", ListAtomics),
        ("loop_baseline", n => Loop("loop_plain", n)),
        ("loop_lock_cmpxchg", n => Loop("loop_lock_cmpxchg", n)),
        ("loop_cmpxchg", n => Loop("loop_cmpxchg", n)),
        ("loop_percpu", n => Loop("loop_section", n)),
        ("loop_rseq_cpu", n => Loop("loop_number", n)),
    ];

    public static Task<JsonObject> Run(Action<double> progress)
    {
        if (!PerCpuSections.AreUsed || PerCpuCode.Map(out _) is not { } code)
        {
            throw new BenchFailedException($"There are no per-CPU sections here: {PerCpuSections.Missing}.");
        }

        s_code = code;
        var done = new TaskCompletionSource<JsonObject>();
        new Thread(() =>
        {
            try
            {
                done.SetResult(Report(Measure(progress)));
            }
            catch (Exception e)
            {
                done.SetException(e);
            }
        })
        { IsBackground = true, Name = "bench percpu" }.Start();
        return done.Task;
    }

    private static JsonObject Report(Dictionary<string, double> ns)
    {
        Dictionary<string, double> figures = new()
        {
            ["lock_to_percpu_overhead"] = Ratio(ns, ""),
            ["loop_lock_to_percpu_overhead"] = Ratio(ns, "loop_"),
            ["managed_call_share"] = (ns["percpu"] - ns["loop_percpu"]) / ns["percpu"],
            ["getcpu_to_rseq_cpu"] = ns["getcpu"] / ns["rseq_cpu"],
        };
        foreach ((string name, Action<int> _) in s_rows)
        {
            figures[name + "_ns"] = ns[name];
        }

        return BenchFigures.Rounded(figures);
    }

    /// <summary>What locking adds to the baseline, divided by what a section adds.</summary>
    private static double Ratio(Dictionary<string, double> ns, string kind)
    {
        const double least = 0.01;                               // less cannot be told from nothing
        double baseline = ns[kind + "baseline"];
        return (ns[kind + "lock_cmpxchg"] - baseline) / Math.Max(least, ns[kind + "percpu"] - baseline);
    }

    private static Dictionary<string, double> Measure(Action<double> progress)
    {
        _ = Sys.SchedSetAffinity(0, 1ul << BenchFigures.LastCpu);
        nuint bytes = (nuint)PerCpuList.BytesOfLines;
        s_lines = (byte*)NativeMemory.AlignedAlloc(bytes, PerCpuLine.SizeBytes);
        s_links = (uint*)NativeMemory.AllocZeroed(Nodes, sizeof(uint));
        NativeMemory.Clear(s_lines, bytes);
        s_counter = new PerCpuCounter();
        for (int i = 0; i < WarmUps; i++)
        {
            Array.ForEach(s_rows, r => r.Run(WarmUpRounds));
            if (i == WarmUps / 2)
            {
                Thread.Sleep(s_compilePause);                    // the runtime compiles again what was called often
            }
        }

        Thread.Sleep(s_compilePause);                            // and has done so by now: nothing tells when
        Dictionary<string, List<double>> samples = s_rows.ToDictionary(r => r.Name, _ => new List<double>());
        for (int batch = 0; batch < Batches; batch++)
        {
            foreach ((string name, Action<int> run) in s_rows)
            {
                PrepareFor(name);
                long begin = Stopwatch.GetTimestamp();
                run(Rounds);
                samples[name].Add(Stopwatch.GetElapsedTime(begin).TotalNanoseconds / Rounds);
            }

            progress((batch + 1.0) / Batches);
        }

        return samples.ToDictionary(s => s.Key, s => Statistics.Median(s.Value));
    }

    /// <summary>The lines serve counters and lists in turn.</summary>
    private static void PrepareFor(string name)
    {
        if (name.StartsWith("list", StringComparison.Ordinal))
        {
            NativeMemory.Clear(s_lines, (nuint)PerCpuList.BytesOfLines);
            _ = PerCpuSections.TryPush(s_lines, Stride, s_links, 1);
            _ = PerCpuAtomics.TryPush(s_lines, Stride, s_links, 2);
        }
    }

    private static void Loop(string label, int rounds) => ((delegate* unmanaged<byte*, nint, long, void>)s_code.Labels[label])(s_lines, Stride, rounds);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Plain(int rounds)
    {
        ref long word = ref *(long*)s_lines;
        for (int i = 0; i < rounds; i++)
        {
            Volatile.Write(ref word, Volatile.Read(ref word) + 1);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void LockedExchange(int rounds)
    {
        byte* lines = s_lines;
        for (int i = 0; i < rounds; i++)
        {
            ref long word = ref *(long*)(lines + PerCpuSections.CurrentCpu() * Stride);
            long seen = Volatile.Read(ref word);
            while (Interlocked.CompareExchange(ref word, seen + 1, seen) != seen)
            {
                seen = Volatile.Read(ref word);
            }
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Section(int rounds)
    {
        byte* lines = s_lines;
        for (int i = 0; i < rounds; i++)
        {
            PerCpuSections.Add(lines, Stride, 1);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Counter(int rounds)
    {
        PerCpuCounter counter = s_counter;
        for (int i = 0; i < rounds; i++)
        {
            counter.Add(1);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Atomics(int rounds)
    {
        byte* lines = s_lines;
        for (int i = 0; i < rounds; i++)
        {
            PerCpuAtomics.Add(lines, Stride, 1);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void GetCpu(int rounds)
    {
        for (int i = 0; i < rounds; i++)
        {
            _ = Sys.SchedGetcpu();
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void AreaCpu(int rounds)
    {
        int sum = 0;
        for (int i = 0; i < rounds; i++)
        {
            sum += PerCpuSections.CurrentCpu();
        }

        GC.KeepAlive(sum == int.MinValue ? s_code : null);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void ListSections(int rounds)
    {
        for (int i = 0; i < rounds; i++)
        {
            if (PerCpuSections.TryPop(s_lines, Stride, s_links, Nodes, out uint node) == PerCpuPop.Taken)
            {
                _ = PerCpuSections.TryPush(s_lines, Stride, s_links, node);
            }
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void ListAtomics(int rounds)
    {
        for (int i = 0; i < rounds; i++)
        {
            if (PerCpuAtomics.TryPop(s_lines, Stride, s_links, Nodes, out uint node) == PerCpuPop.Taken)
            {
                _ = PerCpuAtomics.TryPush(s_lines, Stride, s_links, node);
            }
        }
    }
}
