using System.Text.Json;

namespace Rpal.Cli.Tests;

/// <summary>That the figures come, not how good they are: tests share their CPUs.</summary>
public sealed class BenchTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(90);

    [Fact]
    public void The_demo_compares_three_ways_in_two_measures()
    {
        JsonElement[] rows = [.. Json("demo", "--messages", "1000", "--json").GetProperty("rows").EnumerateArray()];
        string[] ways = ["RPAL call", "socket, same core", "socket, cross core"], measures = ["one way", "round trip"];
        Assert.Equal(measures.SelectMany(m => ways.Select(w => (w, m))), rows.Select(r => (r.GetProperty("way").GetString()!, r.GetProperty("measure").GetString()!)));
        foreach (JsonElement row in rows)
        {
            Assert.All((string[])["mean", "p50", "p99", "p999"], name => Positive(row.GetProperty("ns"), name));
        }
    }

    [Theory]
    [InlineData("call", "call_rtt_cycles", "call_rtt_cycles_accounted", "floor_rtt_cycles", "socket_rtt_cycles", "ratio_to_floor", "ratio_to_socket", "one_way_cycles")]
    [InlineData("lazy", "lazy_rtt_ns", "inplace_rtt_ns", "socket_rtt_ns")]
    [InlineData("scale", "calls_per_second_1", "calls_per_second_2")]
    [InlineData("start", "plain_ms", "member_ms", "ratio")]
    [InlineData("ownership", "classic_to_checked_4KiB", "classic_to_guarded_4MiB", "plain_4KiB_ns")]
    [InlineData("blocks", "pool_cached_pairs_per_s_1_thread", "pool_pairs_per_s_2_threads", "pool_cached_pairs_per_s_2_processes", "mutex_pairs_per_s_1_thread", "percpu_to_atomics_2_processes")]
    [InlineData("percpu", "lock_to_percpu_overhead", "loop_lock_to_percpu_overhead", "baseline_ns", "lock_cmpxchg_ns", "percpu_ns", "getcpu_ns", "rseq_cpu_ns")]
    [InlineData("wait",
        "semaphore_wake_ns_same_cpu", "semaphore_adaptive_wake_ns_same_cpu", "eventfd_wake_ns_same_cpu", "pipe_wake_ns_same_cpu", "socket_wake_ns_same_cpu",
        "semaphore_wake_ns_other_cpu", "semaphore_adaptive_wake_ns_other_cpu", "eventfd_wake_ns_other_cpu", "pipe_wake_ns_other_cpu", "socket_wake_ns_other_cpu",
        "release_take_ns_1", "set_wait_any_ns_1", "epoll_wait_any_ns_1", "release_take_ns_8", "set_wait_any_ns_8",
        "epoll_wait_any_ns_8", "release_take_ns_64", "set_wait_any_ns_64", "epoll_wait_any_ns_64", "release_take_ns_128",
        "set_wait_any_ns_128", "epoll_wait_any_ns_128", "release_take_ns_1000", "set_wait_any_ns_1000", "epoll_wait_any_ns_1000",
        "few_wait_any_ns_1", "waitv_wait_any_ns_1", "few_wait_any_ns_8", "waitv_wait_any_ns_8", "few_wait_any_ns_64",
        "waitv_wait_any_ns_64", "few_wait_any_ns_128", "waitv_wait_any_ns_128")]
    public void A_benchmark_prints_one_object_with_its_figures(string benchmark, params string[] names)
    {
        JsonElement figures = Json("bench", benchmark, "--json");
        Assert.Equal(JsonValueKind.Object, figures.ValueKind);
        Assert.All(names, name => Positive(figures, name));
    }

    [Fact]
    public void A_benchmark_for_people_has_its_ways_as_rows_and_a_line_that_says_what_was_measured()
    {
        RpalProcess.Result r = RpalProcess.Run(s_limit, "bench", "ownership");
        Assert.True(r.ExitCode == 0, $"exit code {r.ExitCode}: {r.Error}");
        string[] lines = [.. r.Output.Split('\n').Select(l => l.Trim())];
        Assert.Contains("CPU", lines[0], StringComparison.Ordinal);
        Assert.Contains(lines, l => Words(l).SequenceEqual(["way", "4KiB", "64KiB", "512KiB", "4MiB"]));
        foreach (string way in (string[])["socket", "plain", "checked", "guarded"])
        {
            string[] row = Words(Assert.Single(lines, l => l.StartsWith(way + " ", StringComparison.Ordinal)));
            Assert.Equal((13, 4, 4), (row.Length, row.Count(w => w is "ns" or "us"), row.Count(w => w.EndsWith('x'))));
        }

        // Only where the difference means something.
        Assert.Equal(2, Words(Assert.Single(lines, l => l.StartsWith("ownership ", StringComparison.Ordinal))).Count(w => w is "ns" or "us"));
        Assert.DoesNotContain("classic_to", r.Output, StringComparison.Ordinal);
    }

    private static string[] Words(string line) => line.Split(' ', StringSplitOptions.RemoveEmptyEntries);

    private static void Positive(JsonElement figures, string name) => Assert.True(figures.GetProperty(name).GetDouble() > 0, $"{name} in {figures}");

    private static JsonElement Json(params string[] arguments)
    {
        RpalProcess.Result r = RpalProcess.Run(s_limit, arguments);
        Assert.True(r.ExitCode == 0, $"exit code {r.ExitCode}: {r.Error}");
        return JsonDocument.Parse(r.Output).RootElement;
    }
}
