using System.Diagnostics;
using Rpal.Linux;
using Rpal.Tests.Families;

namespace Rpal.Tests;

/// <summary>Segments, owned buffers and pools between two members of a family, where each has the segment in its own slot.</summary>
public sealed class BufferTests : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);
    private readonly string _socket = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());

    public void Dispose()
    {
        File.Delete(_socket);
        File.Delete(_socket + ".watched");
    }

    [Theory]
    [InlineData("Checked", 4096)]
    [InlineData("Guarded", 4096)]
    [InlineData("Guarded", 300_000)]
    public void Members_hand_a_buffer_and_a_block_to_each_other(string level, int length) =>
        FamilyRun.Succeeds(MemberSpec.Scenario("giver", "buffers-give", _socket, level, $"{length}"), MemberSpec.Scenario("echo", "buffers-echo", _socket));

    [Theory]
    [InlineData("read", 4096)]
    [InlineData("write", 300_000)]
    public void An_access_outside_a_lease_ends_the_member_with_a_message_and_no_other(string access, int length)
    {
        using var run = FamilyRun.Start(
            MemberSpec.Scenario("other", "buffers-outlive", _socket, "Guarded", $"{length}", "whole"), MemberSpec.Scenario("offender", "buffers-offend", _socket, access));
        run.WaitForEnd("other");
        ExpectMessage(run, "offender", length);
        run.Expect(!run.Lines("offender").Contains("survived"), "the access had no effect");
        run.Expect(run.ExitOf("other") == new Exit(0, 0), "the other member's end");
    }

    [Theory]
    [InlineData("Checked")]
    [InlineData("Guarded")]
    public void What_a_killed_member_was_writing_is_free_again_and_torn(string level)
    {
        using var run = FamilyRun.Start(
            MemberSpec.Scenario("other", "buffers-outlive", _socket, level, "4096", "torn"), MemberSpec.Scenario("holder", "buffers-hold", _socket));
        run.WaitForLine("holder", "holds");
        run.Send("holder", Signal.SIGKILL);
        run.WaitForEnd("other");
        run.Expect(run.ExitOf("other") == new Exit(0, 0), "the other member's end");
    }

    [Fact]
    public void A_handler_leases_a_guarded_buffer_on_its_callers_thread_and_ends_its_own_process_outside_a_lease()
    {
        using var run = FamilyRun.Start(MemberSpec.Scenario("server", "buffers-serve", _socket), MemberSpec.Scenario("caller", "buffers-call", _socket, "4096"));
        run.WaitForEnd("caller");
        run.Expect(run.ExitOf("caller") == new Exit(0, 0), "the caller's end");
        ExpectMessage(run, "server", 4096);
    }

    /// <summary>The dead one's memory stays in the family's address space until the host takes it away: a stopped host does not.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_dead_members_lease_is_its_own_until_no_thread_steps_through_its_memory(bool isInFamily)
    {
        MemberSpec server = MemberSpec.Scenario("server", "buffers-compute", _socket),
            caller = MemberSpec.Scenario("caller", "buffers-send-into-compute");
        MemberSpec watcher = MemberSpec.Scenario("watcher", "buffers-watch", _socket);
        using var run = FamilyRun.Start(isInFamily ? [server, caller, watcher] : [server, caller]);
        using Child? outside = isInFamily ? null : Child.Start(FamilyRun.InThisFolder(watcher.Program), watcher.Arguments);
        Await(() => File.Exists(_socket + ".watched"), run);
        run.Expect(Sys.Kill(run.HostPid, Signal.SIGSTOP) == 0, "stopping the host");
        Await(() => File.ReadAllText($"/proc/{run.HostPid}/stat").Contains(") T", StringComparison.Ordinal), run);
        run.Send("server", Signal.SIGKILL);
        Thread.Sleep(3000);                                      // as long as a thread of the caller's makes the dead one's steps
        run.Expect(Sys.Kill(run.HostPid, Signal.SIGCONT) == 0, "letting the host go on");
        run.WaitForEnd("caller", "watcher");
        run.Expect(run.ExitOf("caller") == new Exit(0, 0), "the caller's end");
        outside?.AwaitExit(s_patience);
        run.Expect((outside?.Process.ExitCode ?? run.ExitOf("watcher").Code) == 0, "the watcher's end");
    }

    [Fact]
    public void A_segment_that_a_member_closes_leaves_empty_memory_in_its_slot_until_nothing_refers_to_it() =>
        FamilyRun.Succeeds(MemberSpec.Scenario("closing", "closings-leave", "plain"));

    /// <summary>The member has asked for all its future mappings to be filled and locked, and the host does that for its slot.</summary>
    [NeedsRootFact]
    public void A_segment_that_a_member_closes_whose_new_memory_is_locked_leaves_empty_memory_in_its_slot() =>
        FamilyRun.Succeeds(MemberSpec.Scenario("closing", "closings-leave", "locked"));

    private static void Await(Func<bool> isSo, FamilyRun run)
    {
        for (long began = Stopwatch.GetTimestamp(); !isSo(); Thread.Sleep(1))
        {
            run.Expect(Stopwatch.GetElapsedTime(began) < s_patience, "waited in vain");
        }
    }

    private static void ExpectMessage(FamilyRun run, string member, int length)
    {
        run.Expect(run.ExitOf(member).Signal == Signal.SIGSEGV, "the offender's end");
        string printed = run.Errors(member);
        run.Expect(printed.Contains($"{length} bytes at 0x", StringComparison.Ordinal) && printed.Contains($"Guarded, was accessed outside a lease by process {run.Pid(member)}, party 1: it ends here.", StringComparison.Ordinal)
            && printed.Contains("Holder: nobody. The access came from thread ", StringComparison.Ordinal), "the message");
    }
}
