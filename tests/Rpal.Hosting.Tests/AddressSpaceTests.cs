using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Tests;

/// <summary>System calls that act on an address space: in a member they act on the member, or are refused, and nobody else has anything of
/// it.</summary>
public sealed class AddressSpaceTests : IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [NeedsGccTheory]
    [InlineData("settings", "prctl(PR_SET_MDWE) is refused (EINVAL)", "prctl(PR_SET_MEMORY_MERGE) is refused (EINVAL)", "prctl(PR_FUTEX_HASH) is refused (EINVAL)",
        "prctl(PR_SET_MM) is refused (EPERM)")]
    [InlineData("tables", "modify_ldt is refused (ENOSYS)", "shadow stacks are refused (EOPNOTSUPP)", "mmap with MAP_32BIT fails (ENOMEM)", "migrate_pages is refused (EPERM)")]
    [InlineData("seals", "mseal is refused (ENOSYS")]
    [InlineData("own-filter", "seccomp's strict mode fails (EINVAL)", "a seccomp filter with a listener fails (EBUSY)")]
    [InlineData("limits", "RLIMIT_AS of 4194304 MiB is compared with the memory of the whole family",
        "RLIMIT_DATA of 4194304 MiB is compared with the memory of the whole family")]
    [InlineData("limits-of-a-child")]
    [InlineData("ranges")]
    [InlineData("locks")]
    [InlineData("huge-pages")]
    [InlineData("rounds")]
    public async Task What_would_act_on_the_whole_family_acts_on_the_member_or_is_refused_with_one_line(string scenario, params string[] notices)
    {
        using HostRun run = await HostRun.ToEndAsync(new MemberFile("probe", Programs.Space(), scenario));
        Assert.True(run.ExitCode == 0 && run.Lines("probe")[^1] == "ok", run.Transcript());
        Assert.Equal(notices.Length, run.Notices("probe").Length);
        Assert.All(notices.Zip(run.Notices("probe")), n => Assert.StartsWith(n.First, n.Second, StringComparison.Ordinal));
    }

    [NeedsGccFact]
    public async Task A_member_without_huge_pages_leaves_the_others_theirs()
    {
        string begin = _folder.NamedPipe("begin"), end = _folder.NamedPipe("end");
        using var run = new HostRun(null, new MemberFile("a", Programs.Space(), "huge-pages", end), new MemberFile("b", Programs.Space(), "sees-huge-pages", begin));
        await BetweenAsync(run, begin, end);
    }

    [NeedsGccFact]
    public async Task A_member_that_tries_to_seal_its_memory_leaves_its_slots_empty()
    {
        using HostRun run = await HostRun.ToEndAsync(new MemberFile("sealer", Programs.Space(), "seals") { Restart = "always", RestartLimit = 3 });
        Assert.Equal(4, run.Events("started", "sealer").Select(e => e.Slot).Distinct().Count());
        Assert.DoesNotContain(run.Resources("after").Maps!, l => Convert.ToUInt64(l[..l.IndexOf('-')], 16) is >= 0x100000000000 and < 0x240000000000);
    }

    [NeedsGccFact]
    public async Task A_slot_that_cannot_be_emptied_is_left_out_and_the_next_start_takes_another()
    {
        string end = _folder.NamedPipe("end");
        using var run = new HostRun(null, new MemberFile("a", Programs.Space(), "wait", end) { Restart = "on-failure" });
        await run.LineAsync("a", "ready");
        long slot = run.Started("a").Slot, page = slot + (100L << 30);
        run.Command($"seal {page:x}");
        await run.UntilAsync(e => e is { Event: "notice", Member: "rpal" });
        Assert.Equal(["sealed"], run.Notices("rpal"));
        run.Signal(9);
        await run.TimesAsync("started", "a", 2);
        await run.UntilAsync(e => e is { Event: "notice", Member: "a" });
        await ReleaseAsync(end);
        await run.EndAsync();
        string notice = Assert.Single(run.Notices("a"));
        Assert.StartsWith($"its slot, 0x{slot:x}, cannot be emptied (EPERM", notice, StringComparison.Ordinal);
        Assert.Contains("4 KiB in 1 mappings", notice, StringComparison.Ordinal);                  // and nothing else is left of it
        Assert.EndsWith("39 slots of 40 are left.", notice, StringComparison.Ordinal);
        Assert.NotEqual(slot, run.Events("started", "a")[1].Slot);
    }

    [NeedsGccFact]
    public async Task A_member_that_may_lock_little_gets_the_kernels_errors()
    {
        using HostRun run = await ConfinedAsync("docker", new MemberFile("a", Programs.Space(), "locks-too-much"));
        Assert.Equal(["ok"], run.Lines("a"));
    }

    [NeedsGccTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_members_contexts_for_asynchronous_io_end_with_it(bool killed)
    {
        string endA = _folder.NamedPipe("a"), endB = _folder.NamedPipe("b");
        using var run = new HostRun(null, new MemberFile("a", Programs.Space(), "aio", endA), new MemberFile("b", Programs.Space(), "aio", endB));
        await run.LineAsync("a", "ready");
        await run.LineAsync("b", "ready");
        if (!killed)
        {
            await ReleaseAsync(endA);
        }
        else
        {
            using var victim = System.Diagnostics.Process.GetProcessById(run.Started("a").Pid);
            victim.Kill();
        }

        await run.EndedAsync("a");
        run.Command("quiet one 1 200");
        await run.UntilAsync(e => e.Event == "one");
        Assert.Single(run.Resources("one").Maps!, IsRing);
        await ReleaseAsync(endB);                                                      // b's still works
        await run.EndAsync();
        Assert.Equal(["ready", "ok"], run.Lines("b"));
        Assert.DoesNotContain(run.Resources("after").Maps!, IsRing);

        static bool IsRing(string line) => line.Contains("[aio]", StringComparison.Ordinal);
    }

    /// <summary>As a wrapper script does that executes the server.</summary>
    [NeedsGccFact]
    public async Task What_a_member_had_is_given_back_when_it_executes_another_program_and_its_exit_code_is_that_programs()
    {
        string end = _folder.NamedPipe("end");
        using var run = new HostRun(null, new MemberFile("a", Programs.Space(), "leaves", "/bin/sh", "-c", $"echo left; read x <{end}; exit 44"));
        await run.LineAsync("a", "left");
        run.Command("quiet left 1 200");
        await run.UntilAsync(e => e.Event == "left");
        long slot = run.Started("a").Slot;
        Assert.DoesNotContain(run.Resources("left").Maps!, m => m.Contains("[aio]", StringComparison.Ordinal));
        Assert.DoesNotContain(run.Resources("left").Maps!, m => Start(m) >= slot && Start(m) < slot + FamilyLayout.SlotBytes);
        Assert.Empty(run.Notices("a"));
        await ReleaseAsync(end);
        await run.EndAsync();
        Assert.Equal(44, run.Ended("a").ExitCode);

        static long Start(string mapping) =>
            long.Parse(mapping.AsSpan(0, mapping.IndexOf('-')), System.Globalization.NumberStyles.HexNumber);
    }

    /// <summary>Its slot is used by the next starts, while it runs on.</summary>
    [NeedsGccFact]
    public async Task A_member_that_has_left_is_not_taken_for_the_one_that_has_its_slot_by_now()
    {
        string end = _folder.NamedPipe("end"), next = _folder.NamedPipe("next");
        using var run = new HostRun(null, new MemberFile("a", Programs.Space(), "leaves", "/bin/sh", "-c", $"echo left; read x <{end}; exit 44"),
            new MemberFile("b", "/bin/sh", "-c", $"read x <{next}; case $x in stay) exit 0;; esac; exit 1") { Restart = "on-failure" });
        await run.LineAsync("a", "left");
        run.Command("quiet left 2 200");
        await run.UntilAsync(e => e.Event == "left");
        long slot = run.Started("a").Slot;
        for (int i = 1; run.Events("started", "b")[^1].Slot != slot; i++)
        {
            Assert.True(i <= 2 * FamilyLayout.MemberCapacity, run.Transcript());
            run.Command("restart b");                            // the slot that is free the longest comes next
            await run.TimesAsync("started", "b", i + 1);
        }

        await ReleaseAsync(end);
        await run.EndedAsync("a");
        Assert.Equal(44, run.Ended("a").ExitCode);
        await File.WriteAllTextAsync(next, "stay\n").WaitAsync(TimeSpan.FromSeconds(30));
        await run.EndAsync();
        Assert.Equal(0, run.Events("ended", "b")[^1].ExitCode);
    }

    [NeedsGccTheory]
    [InlineData("not-dumpable", "asks not to be dumpable (PR_SET_DUMPABLE 0)")]
    [InlineData("no-other-user", "becoming another user or group (setuid and the like) is refused (EPERM)")]
    [InlineData("own-namespace")]
    [InlineData("same-user")]
    [InlineData("strange-root", "becoming another user or group (setuid and the like) is refused (EPERM) (in its user namespace; outside it is 100000)")]
    [InlineData("strange-root-in-child", "becoming another user or group (setuid and the like) is refused (EPERM) (in its user namespace; outside it is 100000)")]
    [InlineData("enters-namespaces", "entering a user namespace (setns) that its user did not make is refused (EPERM)")]
    public async Task A_member_cannot_take_the_others_their_files_where_rpal_may_not_trace(string scenario, params string[] notices)
    {
        string begin = _folder.NamedPipe("begin"), end = _folder.NamedPipe("end");
        using var run = new HostRun(start => start.Environment["RPAL_TEST_CONFINED"] = "untraced",
            new MemberFile("a", Programs.Space(), scenario, end), new MemberFile("b", Programs.Space(), "stays-dumpable", begin));
        await BetweenAsync(run, begin, end);
        Assert.Equal(notices.Length, run.Notices("a").Length);
        Assert.All(notices.Zip(run.Notices("a")), n => Assert.StartsWith(n.First, n.Second, StringComparison.Ordinal));
        Assert.Empty(run.Notices("b"));
    }

    [NeedsGccFact]
    public async Task Members_of_a_host_that_starts_not_dumpable_map_their_files()
    {
        string begin = _folder.NamedPipe("begin"), end = _folder.NamedPipe("end");
        using var run = new HostRun(start =>
        {
            start.Environment["RPAL_TEST_CONFINED"] = "untraced";
            start.Environment["RPAL_TEST_NOT_DUMPABLE"] = "1";
        }, new MemberFile("a", Programs.Space(), "wait", end), new MemberFile("b", Programs.Space(), "stays-dumpable", begin));
        await BetweenAsync(run, begin, end);
    }

    [NeedsGccFact]
    public async Task A_host_that_stops_being_dumpable_becomes_so_again_and_says_it()
    {
        string begin = _folder.NamedPipe("begin");
        using var run = new HostRun(start => start.Environment["RPAL_TEST_CONFINED"] = "untraced", new MemberFile("a", Programs.Space(), "stays-dumpable", begin));
        await run.UntilAsync(e => e is { Event: "started", Member: "a" });
        run.Command("not-dumpable");
        await run.UntilAsync(e => e is { Event: "notice", Member: "rpal" });
        await ReleaseAsync(begin);
        await run.EndAsync();
        Assert.True(run.ExitCode == 0, run.Transcript());
        Assert.StartsWith("the family's dumpable flag was cleared by the program that hosts it", Assert.Single(run.Notices("a")), StringComparison.Ordinal);
    }

    [NeedsGccFact]
    public async Task A_member_that_cannot_lock_all_beside_anothers_locks_none_and_says_it()
    {
        string begin = _folder.NamedPipe("begin"), end = _folder.NamedPipe("end");
        using var run = new HostRun(start =>
        {
            start.Environment["RPAL_TEST_CONFINED"] = "docker";
            start.FileName = "prlimit";
            start.ArgumentList.Insert(0, "dotnet");
            start.ArgumentList.Insert(0, "--memlock=8388608:8388608");
        }, new MemberFile("a", Programs.Space(), "locks-some", end), new MemberFile("b", Programs.Space(), "locks-beside", begin));
        await BetweenAsync(run, begin, end);
        Assert.StartsWith("mlockall is refused (ENOMEM): for ", Assert.Single(run.Notices("b")), StringComparison.Ordinal);
        Assert.Contains("RLIMIT_MEMLOCK is 8192 KiB and holds for the sum of the family", run.Notices("b")[0], StringComparison.Ordinal);
        Assert.Empty(run.Notices("a"));
    }

    [NeedsGccFact]
    public async Task A_member_may_become_another_user_where_rpal_may_trace()
    {
        string begin = _folder.NamedPipe("begin"), end = _folder.NamedPipe("end");
        using var run = new HostRun(null, new MemberFile("a", Programs.Space(), "other-user", end), new MemberFile("b", Programs.Space(), "maps-files", begin));
        await BetweenAsync(run, begin, end);
        Assert.Empty(run.Notices("a"));
    }

    [Fact]
    public async Task A_family_in_a_family_is_refused_with_the_reason()
    {
        string inner = _folder.File("inner.json", """{ "members": [ { "name": "inner", "command": "/bin/true" } ] }""", executable: false);
        using HostRun run = await HostRun.ToEndAsync(new MemberFile("outer", "/bin/sh", "-c", $"dotnet {Programs.Host} {inner}; true"));
        Assert.Contains(run.Lines("outer"), l => l.Contains("system call filter", StringComparison.Ordinal) && l.Contains("cannot host another family", StringComparison.Ordinal));
    }

    /// <summary>Once "a" has said that it is ready, "b" begins, and "a" ends after it.</summary>
    private static async Task BetweenAsync(HostRun run, string begin, string end)
    {
        await run.LineAsync("a", "ready");
        await ReleaseAsync(begin);
        await run.EndedAsync("b");
        await ReleaseAsync(end);
        await run.EndAsync();
        Assert.True(run.ExitCode == 0, run.Transcript());
        Assert.Equal("ok", run.Lines("b")[^1]);
    }

    /// <summary>Bounded: nobody reads from the pipe when the member has failed before.</summary>
    private static Task ReleaseAsync(string pipe) => Task.Run(() => File.WriteAllText(pipe, "\n")).WaitAsync(TimeSpan.FromSeconds(60));

    private static async Task<HostRun> ConfinedAsync(string profile, params MemberFile[] members)
    {
        var run = new HostRun(start => start.Environment["RPAL_TEST_CONFINED"] = profile, members);
        await run.EndAsync();
        return run;
    }
}
