using System.Diagnostics;
using System.Runtime.InteropServices;
using Rpal.Linux;

namespace Rpal.TestMember.Scenarios;

/// <summary>Signals of processes whose threads run each other's code.</summary>
internal static class Signals
{
    private const int Rounds = 100;

    private static readonly List<PosixSignalRegistration> s_registrations = [];
    private static string s_childStatusBefore = "";
    private static long s_seen;

    /// <summary>Signals that this process's handlers were given.</summary>
    public static long Seen => Volatile.Read(ref s_seen);

    public static void Add(Dictionary<string, Func<string[], int>> scenarios)
    {
        scenarios.Add("serve-with-handlers", args =>
        {
            s_childStatusBefore = ChildStatus();
            RegisterAfterFirstCall();
            StandardService.Serve(args[0], 2);
            return 0;
        });
        scenarios.Add("signals-both", _ => BothAreSignalled());
        scenarios.Add("children-are-clean", _ => ChildrenAreClean());
        scenarios.Add("changes-handlers-often", _ => ChangesHandlersOften());
    }

    /// <summary>Whether a child has the signal state that it would have had before this process attached.</summary>
    public static bool ChildStatusIsClean()
    {
        string now = ChildStatus();
        Check.Equal(s_childStatusBefore, now);
        return true;
    }

    private static string ChildStatus()
    {
        using var p = Process.Start(new ProcessStartInfo("cat", ["/proc/self/status"]) { RedirectStandardOutput = true })!;
        Task<string> status = p.StandardOutput.ReadToEndAsync();
        Check.That(p.WaitForExit(Check.Patience) && status.Wait(Check.Patience), "cat has not ended");
        string text = status.Result;
        return string.Join('\n', text.Split('\n').Where(l => l.StartsWith("SigBlk", StringComparison.Ordinal)
            || l.StartsWith("SigIgn", StringComparison.Ordinal) || l.StartsWith("SigCgt", StringComparison.Ordinal) || l.StartsWith("SigPnd", StringComparison.Ordinal)));
    }

    private static void RegisterAfterFirstCall()
    {
        RpalService first = RpalService.Register($"first of {Environment.ProcessId}", new ServiceOptions { Receivers = 1 });
        first.Handle<long, long>(1, static (in q, ref a) => a = q);
        first.Enable();
        long answer = 0;
        Check.Equal(CallStatus.Answered, Calls.Connect(first.Name).Call(1, 1L, ref answer, Calls.Soon));
        foreach (PosixSignal signal in (ReadOnlySpan<PosixSignal>)[PosixSignal.SIGTERM, PosixSignal.SIGHUP, PosixSignal.SIGCHLD, PosixSignal.SIGCONT, PosixSignal.SIGWINCH])
        {
            s_registrations.Add(PosixSignalRegistration.Create(signal, static c =>
            {
                c.Cancel = true;
                Interlocked.Increment(ref s_seen);
            }));
        }

        Console.CancelKeyPress += (_, e) =>
        {
            e.Cancel = true;
            Interlocked.Increment(ref s_seen);
        };
    }

    private static int BothAreSignalled()
    {
        RegisterAfterFirstCall();
        RpalConnection work = Calls.Connect("work");
        int there = (int)work.Do(Deed.KernelPid), here = Environment.ProcessId;
        bool stop = false;
        Check.Parallel(3, t =>
        {
            if (t > 0)
            {
                for (int i = 0; !Volatile.Read(ref stop); i++)
                {
                    work.CheckChecksum(i);
                    if (i % 100 == 0)
                    {
                        work.Do(Deed.FileExists);
                    }
                }

                return;
            }

            try
            {
                for (int i = 0; i < Rounds; i++)
                {
                    foreach (int signal in (ReadOnlySpan<int>)[Signal.SIGTERM, Signal.SIGHUP, Signal.SIGINT, Signal.SIGCONT, 28])
                    {
                        long hereBefore = Seen, thereBefore = work.Do(Deed.SignalsSeen);
                        Check.Equal(0, Sys.Kill(here, signal));
                        Check.Equal(0, Sys.Kill(there, signal));
                        Check.Comes(() => Seen > hereBefore, $"signal {signal} here, round {i}");
                        Check.Comes(() => work.Do(Deed.SignalsSeen) > thereBefore, $"signal {signal} there, round {i}");
                    }
                }

                long children = work.Do(Deed.SignalsSeen);
                Check.Equal((long)there, work.Do(Deed.StartProcess));
                Check.Comes(() => work.Do(Deed.SignalsSeen) > children, "SIGCHLD there");
            }
            finally
            {
                Volatile.Write(ref stop, true);
            }
        });
        work.Stop();
        return 0;
    }

    private static int ChildrenAreClean()
    {
        s_childStatusBefore = ChildStatus();
        Check.That(s_childStatusBefore.Contains("SigCgt:\t0000000000000000", StringComparison.Ordinal), s_childStatusBefore);
        Check.That(s_childStatusBefore.Contains("SigBlk:\t0000000000000000", StringComparison.Ordinal), s_childStatusBefore);
        RegisterAfterFirstCall();
        RpalConnection work = Calls.Connect("work");
        for (int i = 0; i < 10; i++)
        {
            work.Add(1, 2);
            Check.That(ChildStatusIsClean());
            Check.Equal(1L, work.Do(Deed.ChildStatus));
        }

        work.Stop();
        return 0;
    }

    /// <summary>Every change of an action takes a record; those of the signals that do not change must survive it.</summary>
    private static int ChangesHandlersOften()
    {
        const int changes = 600, looks = 100, userSignal = 10;     // the runtime keeps its own handler for most others
        RegisterAfterFirstCall();
        object? nothing = null;
        for (int i = 1; i <= changes; i++)
        {
            using (PosixSignalRegistration.Create((PosixSignal)userSignal, static c => c.Cancel = true))
            {
            }

            if (i % looks == 0)
            {
                Check.Throws<NullReferenceException>(() => nothing!.GetHashCode());
                long before = Seen;
                Check.Equal(0, Sys.Kill(Environment.ProcessId, Signal.SIGHUP));
                Check.Comes(() => Seen > before, $"SIGHUP after {i} changes");
            }
        }

        return 0;
    }
}
