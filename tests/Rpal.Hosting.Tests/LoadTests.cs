namespace Rpal.Hosting.Tests;

/// <summary>Programs that cannot be loaded, or change while they are: that start fails with one line, and the host and the others go
/// on.</summary>
public sealed class LoadTests : IDisposable
{
    private const int NotStartable = 126;

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [NeedsMountsTheory]
    [InlineData("program")]
    [InlineData("script")]
    public async Task A_program_on_a_file_system_mounted_noexec_is_refused(string what)
    {
        string place = Directory.CreateDirectory(Path.Combine(_folder.Path, "noexec")).FullName, program = Path.Combine(place, "program");
        string script = _folder.File("script", $"#!{program}\n");
        using var run = new HostRun(start => MountedNoexec.Wrap(start, place, $"cp /bin/true {program}"), Other(), new MemberFile("bad", what == "program" ? program : script));
        await run.EndAsync();
        Refused(run, "permission denied", "mounted noexec");
    }

    [NeedsMountsFact]
    public async Task A_start_on_a_file_system_that_has_become_noexec_fails_and_the_others_go_on()
    {
        string place = Directory.CreateDirectory(Path.Combine(_folder.Path, "noexec")).FullName, program = Path.Combine(place, "program");
        string pipe = _folder.NamedPipe("release"), remount = $"mount -o remount,noexec {place}";
        using var run = new HostRun(start => MountedNoexec.Wrap(start, place, $"mount -o remount,exec {place} && cp /bin/sh {program}"),
            new MemberFile("other", "/bin/sh", "-c", $"read x <{pipe}; echo $x"),
            new MemberFile("bad", program, "-c", $"{remount}; exit 1") { Restart = "on-failure", RestartLimit = 2 });
        await run.TimesAsync("givenUp", "bad", 1);
        await File.WriteAllTextAsync(pipe, "alive\n");
        await run.EndAsync();
        Assert.Equal(["alive"], run.Lines("other"));
        Assert.Contains("mounted noexec", run.Events("givenUp", "bad")[0].Text, StringComparison.Ordinal);
        Assert.Equal(run.Resources("before").Descriptors, run.Resources("after").Descriptors);
    }

    [NeedsGccFact]
    public async Task A_program_whose_dynamic_linker_is_not_executable_is_refused()
    {
        string linker = _folder.File("ld.so", File.ReadAllBytes("/lib64/ld-linux-x86-64.so.2"), executable: false);
        using HostRun run = await HostRun.ToEndAsync(Other(),
            new MemberFile("bad", Programs.Probe($"-Wl,--dynamic-linker={linker}"), "exit", "0"));
        Refused(run, "its interpreter cannot be used", "not executable");
    }

    [Fact]
    public async Task A_program_behind_links_that_name_each_other_is_refused()
    {
        string loop = Path.Combine(_folder.Path, "loop");
        File.CreateSymbolicLink(loop, loop);
        using HostRun run = await HostRun.ToEndAsync(Other(), new MemberFile("bad", loop));
        Refused(run, loop, "ELOOP");
    }

    [Fact]
    public async Task A_program_replaced_by_a_folder_fails_to_start_again_and_comes_back_with_its_file()
    {
        string program = _folder.File("program", $"#!/bin/sh\nrm $0; mkdir $0; exit 5\n"), pipe = _folder.NamedPipe("release");
        using var run = new HostRun(null, new MemberFile("a", program) { Restart = "always" },
            new MemberFile("other", "/bin/sh", "-c", $"read x <{pipe}; echo $x"));
        await run.UntilAsync(e => e is { Event: "restarting", Member: "a" }
            && e.Text!.EndsWith("is a directory.", StringComparison.Ordinal));
        Directory.Delete(program);
        _ = _folder.File("program", "#!/bin/sh\necho back; exec sleep 1000\n");
        await run.LineAsync("a", "back");
        await File.WriteAllTextAsync(pipe, "alive\n");
        await run.EndedAsync("other");
        await run.StopAsync();
        Assert.Equal(["alive"], run.Lines("other"));
    }

    [Fact]
    public async Task A_program_that_is_cut_short_and_written_again_all_the_time_never_ends_the_host()
    {
        const int restarts = 60;
        byte[] whole = File.ReadAllBytes("/bin/sleep");
        string program = _folder.File("sleeper", whole);
        using var run = new HostRun(null, new MemberFile("a", program, "1000") { Restart = "always" }, Other());
        await run.TimesAsync("started", "a", 1);
        await run.TimesAsync("started", "other", 1);
        using var end = new CancellationTokenSource();
        Task writer = Task.Run(() =>
        {
            using FileStream file = File.OpenWrite(program);
            while (!end.IsCancellationRequested)
            {
                file.SetLength(0);
                file.Write(whole);
                file.Position = 0;
                file.Flush();
            }
        });
        int others = run.Started("other").Pid;
        for (int i = 0; i < restarts; i++)
        {
            int before = run.Order("started", "restarting").Length;
            run.Command("restart a");
            await run.UntilAsync(_ => run.Order("started", "restarting").Length > before);
        }

        await end.CancelAsync();
        await writer;
        run.Command("restart a");
        Assert.Contains(others, run.Survivors());
        await run.StopAsync();
        Assert.Single(run.Events("started", "other"));
    }

    private static MemberFile Other() => new("other", "/bin/sh", "-c", "exec sleep 1000");

    private static void Refused(HostRun run, params string[] reasons)
    {
        Assert.True(run.Error is not null, run.Transcript());
        Assert.All(reasons, r => Assert.Contains(r, run.Error, StringComparison.Ordinal));
        Assert.DoesNotContain('\n', run.Error);
        Assert.Equal(NotStartable, run.ExitCode);
        Assert.Equal(9, run.Ended("other").Signal);
        Assert.Equal(run.Resources("before").Descriptors, run.Resources("after").Descriptors);
    }
}
