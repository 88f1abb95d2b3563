using System.Diagnostics;
using System.Reflection;
using System.Text.Json;
using Rpal.Cli.Commands;
using Rpal.Linux;
using Rpal.Machine.Platform;
using Xunit.Abstractions;

namespace Rpal.Cli.Tests;

public sealed class DoctorTests(ITestOutputHelper log)
{
    [Fact]
    public void Here_families_can_run()
    {
        RpalProcess.Result r = RpalProcess.Run("doctor");
        Assert.Equal(0, r.ExitCode);
        Assert.Contains("Families can run here", r.Output, StringComparison.Ordinal);
        Assert.DoesNotContain('\e', r.Output);
        Assert.Empty(r.Error);
    }

    [Fact]
    public void Json_has_every_check()
    {
        RpalProcess.Result r = RpalProcess.Run("doctor", "--json");
        JsonElement root = JsonDocument.Parse(r.Output).RootElement;
        Assert.True(root.GetProperty("canRun").GetBoolean());
        string[] features = [.. typeof(PlatformFeature).GetFields(BindingFlags.Public | BindingFlags.Static).Select(f => ((PlatformFeature)f.GetValue(null)!).Name)];
        Assert.Equal(features.Order(), root.GetProperty("checks").EnumerateArray().Select(c => c.GetProperty("name").GetString()!).Order());
        Assert.All(root.GetProperty("checks").EnumerateArray(), c => Assert.True(c.GetProperty("works").GetBoolean() || !c.GetProperty("required").GetBoolean()));
    }

    [Theory]
    [InlineData("Syscall User Dispatch", SyscallNumber.Prctl, PrctlOp.SetSyscallUserDispatch)]
    [InlineData("process_vm_readv", SyscallNumber.ProcessVmWritev, null)]
    [InlineData("seccomp notification", SyscallNumber.Seccomp, (int)SeccompOp.GetNotifSizes)]
    [InlineData("pidfd", SyscallNumber.PidfdOpen, null)]
    [InlineData("membarrier", SyscallNumber.Membarrier, MembarrierCommand.PrivateExpedited)]
    public void A_denied_system_call_is_found_and_run_refuses_in_the_same_words(string feature, long number, int? firstArgument)
    {
        RpalProcess.Result doctor = Denied(number, firstArgument, "doctor", "--json");
        Assert.Equal(1, doctor.ExitCode);
        JsonElement check = JsonDocument.Parse(doctor.Output).RootElement.GetProperty("checks").EnumerateArray().Single(c => c.GetProperty("name").GetString() == feature);
        Assert.False(check.GetProperty("works").GetBoolean());
        Assert.Contains("EPERM", check.GetProperty("found").GetString(), StringComparison.Ordinal);

        RpalProcess.Result table = Denied(number, firstArgument, "doctor");
        Assert.Equal(1, table.ExitCode);
        Assert.Contains("MISSING", table.Output, StringComparison.Ordinal);

        RpalProcess.Result run = Denied(number, firstArgument, "run", "true");
        Assert.Equal(125, run.ExitCode);
        Assert.StartsWith($"rpal: No family can run here: {feature} is missing ({check.GetProperty("found").GetString()}).", Assert.Single(run.ErrorLines), StringComparison.Ordinal);
    }

    [Fact]
    public void A_listener_that_cannot_be_made_is_found_although_the_kernel_knows_it()
    {
        RpalProcess.Result r = Denied(SyscallNumber.Seccomp, (int)SeccompOp.SetModeFilter, "doctor", "--json");
        Assert.Equal(1, r.ExitCode);
        Assert.Contains("making a listener: EPERM", r.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_optional_feature_is_no_obstacle()
    {
        var report = new PlatformReport([new(PlatformFeature.Kernel, true, "6.1"), new(PlatformFeature.ProtectionKeys, false, "none [really]")]);
        using var output = new StringWriter();
        Assert.Equal(0, DoctorCommand.Show(report, json: false, output, colors: false));
        Assert.Contains("without protection keys", output.ToString(), StringComparison.Ordinal);
        Assert.Contains("none [really]", output.ToString(), StringComparison.Ordinal);
        Assert.Null(report.Refusal);
    }

    [Fact]
    public void A_missing_required_feature_is_one()
    {
        var report = new PlatformReport([new(PlatformFeature.FsGsBase, false, "AT_HWCAP2 0x0"), new(PlatformFeature.Pidfd, true, "")]);
        using var output = new StringWriter();
        Assert.Equal(1, DoctorCommand.Show(report, json: true, output, colors: false));
        Assert.False(JsonDocument.Parse(output.ToString()).RootElement.GetProperty("canRun").GetBoolean());
        Assert.StartsWith("No family can run here: FSGSBASE is missing (AT_HWCAP2 0x0).", report.Refusal, StringComparison.Ordinal);
    }

    [Fact]
    public void Checking_harms_nobody_and_does_not_hang()
    {
        TimeSpan hang = TimeSpan.FromSeconds(5);                 // milliseconds when nobody else uses the CPUs
        Assert.True(PlatformCheck.Run().CanRun);
        string before = Descriptors();
        long begin = Stopwatch.GetTimestamp();
        PlatformReport report = PlatformCheck.Run();
        TimeSpan all = Stopwatch.GetElapsedTime(begin);
        Assert.True(report.CanRun, report.Refusal);
        Assert.Equal(before, Descriptors());

        begin = Stopwatch.GetTimestamp();
        _ = KernelProbes.Required();
        TimeSpan required = Stopwatch.GetElapsedTime(begin);
        log.WriteLine($"all {all.TotalMilliseconds:0.00} ms, required {required.TotalMilliseconds:0.000} ms");
        Assert.InRange(all, TimeSpan.Zero, hang);
        Assert.InRange(required, TimeSpan.Zero, hang);

        static string Descriptors() => string.Join(' ', Directory.GetFiles("/proc/self/fd").Select(f => Sys.Readlink(f)).Where(l => l is not null && l.Contains("anon_inode", StringComparison.Ordinal)).Order());
    }

    private static RpalProcess.Result Denied(long number, int? firstArgument, params string[] arguments)
    {
        using RpalProcess rpal = RpalProcess.Denying(number, firstArgument, arguments);
        return rpal.End();
    }
}
