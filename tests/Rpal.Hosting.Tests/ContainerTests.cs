namespace Rpal.Hosting.Tests;

/// <summary>The host and its members under a container's seccomp filter and without privileges.</summary>
public sealed class ContainerTests
{
    [Fact]
    public async Task Under_Dockers_default_profile_members_start_and_map_their_files()
    {
        using HostRun run = await RunAsync("docker", Programs.DotNet("a", "memory"), new MemberFile("b", Programs.Member, "identity"), new MemberFile("c", "/bin/sh", "-c", "echo $((6*7)) | cat"));
        Assert.True(run.ExitCode == 0, run.Transcript());
        Assert.Contains($"path {Programs.Member}", run.Lines("b"));
        Assert.Equal(["42"], run.Lines("c"));
    }

    [NeedsGccTheory]
    [InlineData("maps")]
    [InlineData("threads")]
    [InlineData("forks")]
    [InlineData("executes")]
    public async Task Under_Dockers_default_profile_native_members_work(string scenario)
    {
        using HostRun run = await RunAsync("docker", new MemberFile("probe", Programs.Probe(), scenario));
        Assert.True(run.ExitCode == 0 && run.Lines("probe")[^1] == "ok", run.Transcript());
    }

    [Fact]
    public async Task Without_process_vm_readv_a_family_is_refused_with_one_line()
    {
        using HostRun run = await RunAsync("hardened", new MemberFile("a", "/bin/true"));
        Assert.Equal(125, run.ExitCode);
        Assert.StartsWith("No family can run here: process_vm_readv is missing (process_vm_readv, process_vm_writev: EPERM", run.Error, StringComparison.Ordinal);
    }

    private static async Task<HostRun> RunAsync(string profile, params MemberFile[] members)
    {
        var run = new HostRun(start => start.Environment["RPAL_TEST_CONFINED"] = profile, members);
        await run.EndAsync();
        return run;
    }
}
