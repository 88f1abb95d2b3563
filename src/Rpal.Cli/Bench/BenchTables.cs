using System.Text.Json;
using System.Text.Json.Nodes;
using Rpal.Cli.Output;
using Spectre.Console;

namespace Rpal.Cli.Bench;

/// <summary>A benchmark's figures for people: what is one thing's is a row, what can be compared stands side by side. What has no place in a table is named below.</summary>
internal sealed class BenchTables
{
    private const double NsPerUs = 1000, PerM = 1e6;
    private const double NsShownAsUs = 10_000, UsWithoutFraction = 1000 * NsPerUs;
    private const string Nothing = "";

    private static readonly (string Name, string What)[] s_blockWays =
    [
        ("pool", "common list only"),
        ("pool_cached_atomics", "CPUs' lists, lock-prefixed"),
        ("pool_cached", "CPUs' lists by sections"),
        ("mutex", "a lock and a stack"),
        ("arraypool", "ArrayPool.Shared, one process's"),
    ];

    private static readonly string[] s_blockWho = ["1_thread", "2_threads", "2_processes"];

    private static readonly string[] s_ownershipWays =
        ["classic", "socket", "plain", "checked", "checked_by_locks", "guarded_mprotect", "guarded_mremap", "guarded", "guarded_by_keys", "ownership"];

    private static readonly (string Name, string What)[] s_waitAnyWays =
    [
        ("set_wait_any_ns", "SemaphoreSet.WaitAny"),
        ("epoll_wait_any_ns", "an eventfd each, and epoll"),
        ("few_wait_any_ns", "SharedSemaphore.WaitAny"),
        ("waitv_wait_any_ns", "futex_waitv, then a look at all"),
        ("release_take_ns", "release and TryWait of one that is known"),
    ];

    private static readonly (string Name, string What)[] s_perCpuWays =
    [
        ("baseline", "add to a plain word, from C#"),
        ("lock_cmpxchg", "lock cmpxchg on the CPU's word"),
        ("percpu", "in a section"),
        ("percpu_counter", "PerCpuCounter.Add"),
        ("percpu_atomics", "lock add on the CPU's word"),
        ("getcpu", "the CPU's number by sched_getcpu"),
        ("rseq_cpu", "the CPU's number from the rseq area"),
        ("list_percpu", "pop and push in sections"),
        ("list_atomics", "pop and push, lock-prefixed"),
        ("loop_baseline", "baseline as a bare machine loop"),
        ("loop_lock_cmpxchg", "lock_cmpxchg as one"),
        ("loop_cmpxchg", "the same without the lock prefix"),
        ("loop_percpu", "percpu as one"),
        ("loop_rseq_cpu", "rseq_cpu as one"),
    ];

    private readonly JsonObject _figures;
    private readonly HashSet<string> _shown = [];

    private BenchTables(JsonObject figures) => _figures = figures;

    /// <summary>What was measured and where; null for a benchmark that has no tables of its own. To be asked before it runs: benchmarks bind threads to CPUs.</summary>
    public static string? Heading(string name)
    {
        (int first, int last) = (BenchFigures.FirstCpu, BenchFigures.LastCpu);
        return name switch
        {
            "ownership" => $"Fill, hand over, read: time, and classic / this. Writer on CPU {first}, reader on CPU {last}.",
            "wait" => $"Wake-up to run, by a process on CPU {first} of one on CPU {first} (same) or {last} (other).",
            "blocks" => $"Million pairs of allocate and free per second, on CPUs {first} and {last}.",
            "percpu" => $"Nanoseconds of one operation, on CPU {last}.",
            _ => null,
        };
    }

    public static void Write(IAnsiConsole console, string name, string heading, JsonObject figures)
    {
        var tables = new BenchTables(figures);
        Console.WriteLine(heading);
        foreach (Table table in tables.Of(name))
        {
            console.Write(table);
        }

        string[] rest = [.. figures.Where(f => !tables._shown.Contains(f.Key)).Select(f => $"{f.Key} {f.Value}")];
        if (rest.Length > 0)
        {
            Console.WriteLine(string.Join(", ", rest));
        }
    }

    private IEnumerable<Table> Of(string name) => name switch
    {
        "ownership" => [Ownership()],
        "wait" => [Wakes(), WaitAny()],
        "blocks" => [Blocks(), BlockRatios()],
        _ => [PerCpu()],
    };

    private Table Ownership()
    {
        string[] sizes = [.. OwnershipFigures.Sizes.Select(s => s.Name)];
        _shown.UnionWith(["writer_cpu", "reader_cpu"]);          // in the heading
        return Filled(["way", .. sizes], s_ownershipWays.Select(way => (string[])[way, .. sizes.Select(size => OwnershipCell(way, size))]));
    }

    private string OwnershipCell(string way, string size)
    {
        string ratio = Cell($"classic_to_{way}_{size}", r => $"{r:0.00}x");
        return Cell($"{way}_{size}_ns", Time) is { Length: > 0 } time ? $"{time} {ratio,7}" : Nothing;
    }

    private Table Wakes() => Filled(["way", "same CPU", "99 of 100", "other CPU", "99 of 100"], WaitBench.Ways.Select(way => (string[])
    [
        way, Cell($"{way}_wake_ns_same_cpu", Time), Cell($"{way}_wake_p99_ns_same_cpu", Time), Cell($"{way}_wake_ns_other_cpu", Time), Cell($"{way}_wake_p99_ns_other_cpu", Time),
    ]));

    private Table WaitAny() => Filled(["wait for any of", .. WaitBench.Members.Select(m => $"{m}")],
        s_waitAnyWays.Select(way => (string[])[way.What, .. WaitBench.Members.Select(m => Cell($"{way.Name}_{m}", Time))]));

    private Table Blocks() => Filled(["way", .. s_blockWho.Select(Spaced), Nothing],
        s_blockWays.Select(way => (string[])[way.Name, .. s_blockWho.Select(who => Cell($"{way.Name}_pairs_per_s_{who}", r => $"{r / PerM:0.0} M")), way.What]), isTextLast: true);

    private Table BlockRatios() => Filled(["ratio", .. s_blockWho.Select(Spaced)], ((string[])["percpu_to_atomics", "cached_to_pool"])
        .Select(ratio => (string[])[ratio, .. s_blockWho.Select(who => Cell($"{ratio}_{who}", r => $"{r:0.00}x"))]));

    private Table PerCpu() => Filled(["way", "ns", Nothing], s_perCpuWays.Select(way => (string[])[way.Name, Cell($"{way.Name}_ns", ns => $"{ns:0.00}"), way.What]), isTextLast: true);

    /// <summary>Numbers to the right. Rows without any number are left out: what this machine cannot measure.</summary>
    private static Table Filled(string[] columns, IEnumerable<string[]> rows, bool isTextLast = false)
    {
        Table table = Tables.Create(columns);
        int numbers = columns.Length - (isTextLast ? 1 : 0);
        for (int i = 1; i < numbers; i++)
        {
            table.Columns[i].RightAligned();
        }

        foreach (string[] row in rows.Where(r => r[1..numbers].Any(c => c.Length > 0)))
        {
            table.AddRow(row);
        }

        return table;
    }

    /// <summary>A figure, if there is one.</summary>
    private string Cell(string figure, Func<double, string> format)
    {
        _shown.Add(figure);
        return _figures[figure] is JsonValue value && value.GetValueKind() == JsonValueKind.Number ? format(BenchFigures.Number(_figures, figure)) : Nothing;
    }

    private static string Time(double ns) => Math.Abs(ns) < NsShownAsUs ? $"{ns:0} ns" : ns < UsWithoutFraction ? $"{ns / NsPerUs:0.0} us" : $"{ns / NsPerUs:0} us";

    private static string Spaced(string name) => name.Replace('_', ' ');
}
