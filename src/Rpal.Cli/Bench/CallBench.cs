using System.Runtime.CompilerServices;
using Rpal.Internal;
using Rpal.Machine.Blocks;

namespace Rpal.Cli.Bench;

[InlineArray(32)]
internal struct Message
{
    private byte _first;
}

/// <summary>The members of <c>bench call</c>: round trips of 32-byte messages beside the bare emitted loop, in turns.</summary>
internal static class CallBench
{
    public static unsafe int Quick(string[] args)
    {
        if (args[0] == "server")
        {
            RpalService service = RpalService.Register("bench", new ServiceOptions { Receivers = 2 });
            service.Handle(1, static (in Message q, ref Message a) => a = q);
            service.Handle(9, static (_, ref _) => Environment.Exit(0));
            service.Enable();
            RpalService floor = RpalService.Register("floor", new ServiceOptions { Receivers = 1 });
            floor.Enable(FamilyHeader.At->Address(Routine.EmptyHandler));
            Thread.Sleep(Timeout.Infinite);
        }

        RpalConnection c = RpalConnection.ConnectAsync("bench").Result, f = RpalConnection.ConnectAsync("floor").Result;
        var tsc = (delegate* unmanaged<ulong>)FamilyHeader.At->Address(Routine.Tsc);
        var floorLoop = (delegate* unmanaged<ThreadBlock*, ReceiverBlock*, CallFrame*, long, uint>)FamilyHeader.At->Address(Routine.Floor);
        double[] best = [1e9, 1e9, 1e9];
        for (int k = 0; k < 60; k++)
        {
            const int n = 300_000;
            ulong t0 = tsc();
            Loop(c, n);
            ulong t1 = tsc();
            CallFrame frame = new() { Key = f.Key };
            uint bad = floorLoop(ThreadArmory.Current, f.FirstReceiver, &frame, n);
            ulong t2 = tsc();
            Loop(f, n);
            ulong t3 = tsc();
            best[0] = Math.Min(best[0], (t1 - t0) / (double)n); best[1] = Math.Min(best[1], (t2 - t1) / (double)n); best[2] = Math.Min(best[2], (t3 - t2) / (double)n);
        }

        Console.WriteLine($"best call {best[0]:F1} floor {best[1]:F1} caller-only {best[2]:F1}");
        c.Call(9, [], [], out _, Deadline.Immediate);
        return 0;
    }

    private static void Loop(RpalConnection c, int n)
    {
        Message q = default, a = default;
        for (int i = 0; i < n; i++)
        {
            if (c.Call(1, in q, ref a, Deadline.Immediate) != CallStatus.Answered)
            {
                throw new InvalidOperationException("not answered");
            }
        }
    }
}
