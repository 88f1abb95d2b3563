using System.Diagnostics;
using Rpal.Hosting.Death;
using Rpal.Hosting.Loading;
using Rpal.Linux;

namespace Rpal.Hosting.Tests.Death;

/// <summary>What a watch believes of a process that may execute another program.</summary>
public sealed class ExecWatchTests
{
    private const int Thread = 7, Other = 8;

    private static readonly TimeSpan s_long = TimeSpan.FromSeconds(60), s_none = TimeSpan.Zero;

    [Fact]
    public void An_execve_asked_at_the_last_look_of_one_that_failed_is_watched()
    {
        ExecWatch? watch = null;
        int looks = 0;
        bool first = true;
        watch = new ExecWatch(() => ++looks == 3, _ => false, () =>
        {
            if (looks == 1)
            {
                first = watch!.Ask(Thread);                      // between the look at the process and the decision
            }

            return false;
        }, s_long);
        Assert.True(watch.Ask(Thread));
        Assert.True(watch.Await());
        Assert.False(first);
        Assert.Equal(3, looks);
        Assert.False(watch.IsPending);
    }

    [Fact]
    public void An_execve_asked_when_the_patience_is_over_begins_it_anew()
    {
        ExecWatch? watch = null;
        int looks = 0;
        List<bool> firsts = [];
        watch = new ExecWatch(() => ++looks == 3, _ => false, () =>
        {
            firsts.Add(watch!.Ask(Thread));
            return false;
        }, TimeSpan.FromSeconds(30));
        Assert.True(watch.Ask(Thread));
        Assert.True(watch.Await());
        Assert.Equal([false, false], firsts);
    }

    [Fact]
    public void A_watch_whose_patience_is_over_ends_and_the_next_execve_begins_another()
    {
        var watch = new ExecWatch(() => false, _ => false, () => false, s_none);
        Assert.True(watch.Ask(Thread));
        Assert.False(watch.Await());
        Assert.False(watch.IsPending);
        Assert.True(watch.Ask(Thread));
    }

    [Fact]
    public void A_watch_ends_when_every_thread_that_asked_is_in_another_call()
    {
        int looks = 0;
        var watch = new ExecWatch(() => false, tid => tid == Thread || ++looks == 3, () => false, s_long);
        Assert.True(watch.Ask(Thread));
        Assert.False(watch.Ask(Other));
        Assert.False(watch.Await());
        Assert.Equal(3, looks);
        Assert.False(watch.IsPending);
    }

    [Fact]
    public void A_thread_that_asks_again_while_it_is_seen_to_have_failed_is_watched()
    {
        ExecWatch? watch = null;
        int looks = 0;
        watch = new ExecWatch(() => looks == 2, tid => ++looks == 1 && !watch!.Ask(tid), () => false, s_long);
        Assert.True(watch.Ask(Thread));
        Assert.True(watch.Await());
    }

    [Fact]
    public void A_thread_of_the_new_program_in_another_call_does_not_pass_for_a_failure()
    {
        bool left = false;
        var watch = new ExecWatch(() => left, _ => left = true, () => false, s_long);
        Assert.True(watch.Ask(Thread));
        Assert.True(watch.Await());
    }

    [Fact]
    public void A_process_that_ends_has_not_left()
    {
        var watch = new ExecWatch(() => false, _ => false, () => true, s_long);
        Assert.True(watch.Ask(Thread));
        Assert.False(watch.Await());
    }

    [Fact]
    public void A_process_without_memory_is_in_no_other_address_space()
    {
        // The shell becomes a program that reaps nobody.
        using Child parent =
            Child.Start(new ProcessStartInfo("/bin/sh", ["-c", "sleep 1000 & echo $!; exec sleep 1000"]) { RedirectStandardOutput = true });
        int child = int.Parse(parent.Process.StandardOutput.ReadLine()!);
        Comes(() => File.ReadAllText($"/proc/{parent.Process.Id}/comm") == "sleep\n" && AddressSpace.IsOutside(child));
        Assert.Equal(0, Sys.Kill(child, Signal.SIGKILL));
        Comes(() => File.ReadAllText($"/proc/{child}/stat").Contains(") Z ", StringComparison.Ordinal));
        Assert.False(AddressSpace.IsOutside(child));
        Assert.False(AddressSpace.IsOutside(Environment.ProcessId));
    }

    [Fact]
    public void A_loss_says_what_became_of_the_member_that_caused_it()
    {
        var lost = new LostReceiver(1, 2, "work");
        Assert.Equal("a was killed inside a handler of its service work: what that handler held is lost", lost.Describe("a"));
        Assert.Equal("a executed another program inside a handler of its service work: what that handler held is lost",
            lost.Describe("a", hasLeft: true));
        Assert.Contains(LostReceiver.Told, lost.Describe("a", hasLeft: true), StringComparison.Ordinal);
    }

    private static void Comes(Func<bool> condition) => Assert.True(SpinWait.SpinUntil(condition, TimeSpan.FromSeconds(30)));
}
