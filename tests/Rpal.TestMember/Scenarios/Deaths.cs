using System.Diagnostics;
using Rpal.Linux;

namespace Rpal.TestMember.Scenarios;

/// <summary>The callee ends in the middle of something: its callers are told and go on.</summary>
internal static class Deaths
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(5);

    public static void Add(Dictionary<string, Func<string[], int>> scenarios)
    {
        scenarios.Add("kill", args => Kill(Enum.Parse<Deed>(args[0]), int.Parse(args[1])));
        scenarios.Add("make-it-die", args => MakeItDie(Enum.Parse<Deed>(args[0]), long.Parse(args[1])));
        scenarios.Add("waits-for-the-dying", _ => WaitersAreTold());
        scenarios.Add("kill-the-middle", _ => KillTheMiddle());
        scenarios.Add("never-ends", _ => NeverEnds());
        scenarios.Add("executes-another", args => ExecutesAnother(args[0]));
        scenarios.Add("dies-inside", args => DiesInside(args[0], Enum.Parse<Deed>(args[1]), long.Parse(args[2]), int.Parse(args[3])));
        scenarios.Add("goes-on-after", args => GoesOnAfter(args[0], int.Parse(args[1])));
    }

    /// <summary>Kills service "victim" from outside while <paramref name="callers"/> threads have it do <paramref name="deed"/>.</summary>
    private static int Kill(Deed deed, int callers)
    {
        RpalConnection victim = Calls.Connect("victim"), work = Calls.Connect("work");
        int pid = (int)victim.Do(Deed.KernelPid);
        long[] announced = GC.AllocateArray<long>(callers, pinned: true);
        int dead = 0;
        Thread[] threads = [.. Enumerable.Range(0, deed == Deed.Nothing ? 0 : callers).Select(i => new Thread(() =>
        {
            if (victim.Call(Methods.Do, new Order(deed, 0), ref announced[i], Calls.Soon) == CallStatus.PeerDied)
            {
                Interlocked.Increment(ref dead);
            }
        }))];
        foreach (Thread t in threads)
        {
            t.Start();
        }

        for (int i = 0; i < threads.Length; i++)
        {
            Check.Comes(() => Volatile.Read(ref announced[i]) != 0);
        }

        if (deed == Deed.ReadBlocked)
        {
            Check.Comes(() => victim.Do(Deed.LazySwitches) >= callers);          // each caller's context is at home by now
        }

        Check.Equal(0, Sys.Kill(pid, Signal.SIGKILL));
        long begin = Stopwatch.GetTimestamp();
        foreach (Thread t in threads)
        {
            Check.That(t.Join(s_limit), "a caller was not told");
        }

        Check.Equal(threads.Length, dead);
        Check.That(Stopwatch.GetElapsedTime(begin) < s_limit);
        IsDead(victim);
        GoOn(work);
        return 0;
    }

    private static int MakeItDie(Deed deed, long argument)
    {
        RpalConnection victim = Calls.Connect("victim"), work = Calls.Connect("work");
        victim.Do(Deed.KernelPid);
        long answer = 0;
        Check.Equal(CallStatus.PeerDied, victim.Call(Methods.Do, new Order(deed, argument), ref answer, Calls.Soon));
        IsDead(victim);
        GoOn(work);
        return 0;
    }

    /// <summary>Senders that wait for a receiver without a deadline when the service's process is killed.</summary>
    private static int WaitersAreTold()
    {
        RpalConnection victim = Calls.Connect("victim"), work = Calls.Connect("work");
        int pid = (int)victim.Do(Deed.KernelPid);
        long[] announced = GC.AllocateArray<long>(16, pinned: true);
        CallStatus[] statuses = new CallStatus[16];
        Thread[] threads = [.. Enumerable.Range(0, 16).Select(i => new Thread(() =>
            statuses[i] = victim.Call(Methods.Do, new Order(Deed.ComputeForever, 0), ref announced[i], Deadline.Never)))];
        foreach (Thread t in threads)
        {
            t.Start();
        }

        Check.Comes(() => announced.Count(a => a != 0) == 2);                    // as many as there are receivers
        Waiting.ComeToWait("victim", 14);
        Check.Equal(0, Sys.Kill(pid, Signal.SIGKILL));
        foreach (Thread t in threads)
        {
            Check.That(t.Join(s_limit), "a waiting sender was not told");
        }

        Check.That(statuses.All(s => s == CallStatus.PeerDied), string.Join(' ', statuses));
        IsDead(victim);
        GoOn(work);
        return 0;
    }

    /// <summary>This process calls b, whose handler is in a call to work when b is killed: the innermost call still ends.</summary>
    private static unsafe int KillTheMiddle()
    {
        RpalConnection b = Calls.Connect("b"), work = Calls.Connect("work");
        int pid = (int)b.Do(Deed.KernelPid);
        long[] hold = GC.AllocateArray<long>(1, pinned: true);
        CallStatus status = CallStatus.Busy;
        long word = (long)System.Runtime.CompilerServices.Unsafe.AsPointer(ref hold[0]), answer = 0;
        var caller = new Thread(() => status = b.Call(Methods.Forward, new Order(Deed.HoldUntilTold, word), ref answer, Calls.Soon));
        caller.Start();
        Check.Comes(() => Volatile.Read(ref hold[0]) == 1);
        Check.Equal(0, Sys.Kill(pid, Signal.SIGKILL));
        IsDead(b);
        Volatile.Write(ref hold[0], 2);
        Check.That(caller.Join(s_limit), "the caller was not told");

        // Both are right. The host signals this kernel thread while b's receiver is foreign, and b's context, with work's call returned to it,
        // goes on here until a signal or a system call of its own switches it lazily: then it finds b gone, and the caller gets PeerDied.
        // When its last instructions come before that, the answer is whole, and it is Answered. Nothing else may come, such as an exception.
        Check.That(status is CallStatus.PeerDied or CallStatus.Answered, $"{status}");
        IsDead(b);
        GoOn(work);
        return 0;
    }

    /// <summary>Ends this process in one way or another while its threads are inside handlers of "work".</summary>
    private static unsafe int DiesInside(string way, Deed deed, long argument, int threads)
    {
        RpalConnection work = Calls.Connect("work");
        StandardService.Register("own", 3, static () => { }).Enable();
        work.Do(Deed.ComputeAnnounced, 1);                                      // compiled by now: threads that wait for that would be at home
        long[] announced = GC.AllocateArray<long>(threads, pinned: true);
        for (int i = 0; i < threads; i++)
        {
            int mine = i;
            new Thread(() => work.Call(Methods.Do, new Order(deed, argument), ref announced[mine], Calls.Soon)) { IsBackground = true }.Start();
        }

        for (int i = 0; i < threads; i++)
        {
            Check.Comes(() => Volatile.Read(ref announced[i]) != 0);
        }

        Console.WriteLine($"inside, slot {Rpal.Internal.MemberRuntime.Member->Index}");
        switch (way)
        {
            case "return":
                return 0;
            case "exit":
                Environment.Exit(0);
                break;
            case "fail-fast":
                Environment.FailFast("as asked");
                break;
            case "throw":
                throw new InvalidOperationException("as asked");
            case "wait":
                Thread.Sleep(Timeout.Infinite);                  // until it is killed
                break;
            case ['w', 'r', 'i', 't', 't', 'e', 'n', ' ', .. var what]:
                Corruption.WriteOver(what);
                _ = Sys.Kill(Sys.GetPid(), Signal.SIGKILL);
                break;
            default:
                Check.Equal(0, Sys.Kill(Environment.ProcessId, int.Parse(way)));
                Thread.Sleep(Timeout.Infinite);                  // until the signal ends it
                break;
        }

        return 0;
    }

    /// <summary>Once the file is there: all receivers of "work" come back, and its collector does not wait for one that is lost.</summary>
    private static int GoesOnAfter(string file, int receivers)
    {
        RpalConnection work = Calls.Connect("work");
        work.CheckChecksum(1);
        Check.Comes(() => File.Exists(file));
        int slot = int.Parse(File.ReadAllText(file));
        work = Calls.Connect("work");                                           // it may have been started anew
        Check.Comes(() => Waiting.ReceiversReady("work") == receivers);
        Check.Comes(() => GenerationOf(slot) == 0);             // given back
        GoOn(work);
        return 0;
    }

    private static unsafe ulong GenerationOf(int slot) => Volatile.Read(ref Rpal.Machine.Blocks.MemberBlock.At(slot)->Generation);

    /// <summary>The service's process goes on, as another program: its callers are told all the same, in a call and after it.</summary>
    private static int ExecutesAnother(string where)
    {
        RpalConnection victim = Calls.Connect("victim"), work = Calls.Connect("work");
        victim.Do(Deed.FailExec);
        Check.Equal(3L, victim.Add(1, 2));                       // there was no such program: it is as it was
        NobodyTraces((int)victim.Do(Deed.KernelPid));
        CancellationToken gone = victim.Gone;
        Check.Equal(CallStatus.PeerDied, victim.TryDo(where == "handler" ? Deed.Exec : Deed.ExecOnAThread));
        IsDead(victim);
        Check.Comes(() => gone.IsCancellationRequested);
        GoOn(work);
        return 0;
    }

    /// <summary>No thread of the process is traced any more,
    /// long before the host would lose patience with an end that does not come.</summary>
    private static void NobodyTraces(int pid)
    {
        TimeSpan soon = TimeSpan.FromSeconds(6);
        long begin = Stopwatch.GetTimestamp();
        Check.Comes(() => Directory.GetDirectories($"/proc/{pid}/task").All(static t => File.ReadAllText($"{t}/status").Contains("TracerPid:\t0\n", StringComparison.Ordinal)));
        Check.That(Stopwatch.GetElapsedTime(begin) < soon, "threads are traced after an execve that failed");
    }

    private static int NeverEnds()
    {
        RpalConnection work = Calls.Connect("work");
        Console.WriteLine("calling");
        for (long i = 0; ; i++)
        {
            long answer = 0;
            CallStatus status = work.Call(Methods.Add, new Numbers(i, 1), ref answer, Calls.Soon);
            if (status == CallStatus.PeerDied)
            {
                Console.WriteLine("told");
                return 0;
            }

            Check.Equal(CallStatus.Answered, status);
            Check.Equal(i + 1, answer);
        }
    }

    /// <summary>Code of a dead process may still answer until the host has noticed.</summary>
    private static void IsDead(RpalConnection victim)
    {
        long answer = 0;
        Check.Comes(() => victim.Call(Methods.Add, new Numbers(1, 2), ref answer, Calls.Soon) == CallStatus.PeerDied);
        foreach (Deadline deadline in (ReadOnlySpan<Deadline>)[Deadline.Immediate, Deadline.Never, Calls.Soon])
        {
            Check.Equal(CallStatus.PeerDied, victim.Call(Methods.Add, new Numbers(1, 2), ref answer, deadline));
            Check.Equal(CallStatus.PeerDied, victim.Call(Methods.Add, new Numbers(1, 2), ref answer, deadline, CancellationToken.None));
        }
    }

    private static void GoOn(RpalConnection work)
    {
        Check.Parallel(3, t =>
        {
            for (int i = 0; i < 1000; i++)
            {
                work.CheckChecksum(t * 1000 + i);
            }

            Check.Equal(1L, work.Do(Deed.FileExists));
        });
        GC.Collect();
        Check.That(work.Do(Deed.Collect) > 0);
        work.Stop();
    }
}
