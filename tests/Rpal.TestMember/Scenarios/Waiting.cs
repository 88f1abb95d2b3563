using System.Runtime.CompilerServices;
using System.Diagnostics;
using Rpal.Internal;
using Rpal.Machine.Blocks;

namespace Rpal.TestMember.Scenarios;

/// <summary>More senders than receivers: busy, deadlines, cancellation, and that nobody is forgotten.</summary>
internal static class Waiting
{
    public static void Add(Dictionary<string, Func<string[], int>> scenarios)
    {
        scenarios.Add("crowd", args => Crowd(int.Parse(args[0]), int.Parse(args[1])));
        scenarios.AddCaller("busy", Busy);
        scenarios.AddCaller("cancel", Cancel);
        scenarios.AddCaller("dispose-while-called", _ => DisposeWhileCalled());
    }

    /// <summary>Waits until so many senders wait for a receiver of a service.</summary>
    public static unsafe void ComeToWait(string service, uint senders)
    {
        for (int i = 0; i < FamilyLayout.ServiceCapacity; i++)
        {
            ServiceEntry* e = FamilyHeader.Service(i);
            if (e->State == ServiceState.Enabled && System.Text.Encoding.UTF8.GetString(e->Name, e->NameLengthBytes) == service)
            {
                Check.Comes(() => WaitersOf(i) >= senders);
                return;
            }
        }

        throw new ScenarioFailedException($"no service {service}");
    }

    private static unsafe uint WaitersOf(int service)
    {
        uint count = 0;
        for (int t = 0; t < FamilyLayout.ThreadCapacity; t++)
        {
            count += Volatile.Read(ref *(nint*)&MemberBlock.Thread(MemberRuntime.Member->Index, t)->WaitsFor) == (nint)FamilyHeader.Service(service) ? 1u : 0;
        }

        return FamilyHeader.Service(service)->Waiters == 0 ? 0 : count;
    }

    /// <summary>Receivers of an enabled service that some caller executes now.</summary>
    public static int ReceiversInUse(string service) => ReceiversIn(service, ReceiverState.Foreign);

    /// <summary>Receivers of an enabled service that wait for a call.</summary>
    public static int ReceiversReady(string service) => ReceiversIn(service, ReceiverState.Ready);

    private static unsafe int ReceiversIn(string service, ReceiverState state)
    {
        int count = 0;
        for (int i = 0; i < FamilyLayout.ServiceCapacity; i++)
        {
            ServiceEntry* e = FamilyHeader.Service(i);
            if (e->State == ServiceState.Enabled && System.Text.Encoding.UTF8.GetString(e->Name, e->NameLengthBytes) == service)
            {
                for (int r = 0; r < e->ReceiverCount; r++)
                {
                    count += ((ReceiverBlock*)e->Receivers[r])->State == state ? 1 : 0;
                }
            }
        }

        return count;
    }

    /// <summary>Every one of many senders gets every answer although none gives up waiting.</summary>
    private static int Crowd(int senders, int calls)
    {
        RpalConnection work = Calls.Connect("work");
        Check.Parallel(senders, t =>
        {
            for (int i = 0; i < calls / senders; i++)
            {
                long answer = 0;
                Check.Equal(CallStatus.Answered, work.Call(Methods.Add, new Numbers(i, t), ref answer, Deadline.Never));
                Check.Equal((long)i + t, answer);
                if (i % 1000 == 0)
                {
                    Check.Equal(1L, work.Do(Deed.FileExists));
                }
            }
        });
        work.Stop();
        return 0;
    }

    /// <summary>Both receivers of the service are held until told; <paramref name="body"/> runs meanwhile and gets who tells them.</summary>
    public static unsafe void Hold(RpalConnection work, Action<Action> body)
    {
        long[] holds = GC.AllocateArray<long>(2, pinned: true);
        Thread[] holders = [.. Enumerable.Range(0, 2).Select(i => new Thread(() =>
            Check.Equal(CallStatus.Answered,
                work.Call(Methods.Do, new Order(Deed.HoldUntilTold, (long)Unsafe.AsPointer(ref holds[i])), ref holds[i], Calls.Soon))))];
        foreach (Thread t in holders)
        {
            t.Start();
        }

        Check.Comes(() => Volatile.Read(ref holds[0]) == 1 && Volatile.Read(ref holds[1]) == 1);
        void Tell()
        {
            foreach (ref long hold in holds.AsSpan())
            {
                _ = Interlocked.CompareExchange(ref hold, 2, 1);
            }

            foreach (Thread t in holders)
            {
                Check.Ends(t);
            }
        }

        body(Tell);
        Tell();
        Check.That(holds[0] == 3 && holds[1] == 3);
    }

    private static void Busy(RpalConnection work)
    {
        Numbers numbers = new(1, 2);
        long answer = 0;
        Check.Equal(CallStatus.Answered, work.Call(Methods.Add, in numbers, ref answer, Deadline.Immediate));
        answer = -1;
        Hold(work, tell =>
        {
            Check.Equal(CallStatus.Busy, work.Call(Methods.Add, in numbers, ref answer, Deadline.Immediate));
            long begin = Stopwatch.GetTimestamp();
            Check.Equal(CallStatus.Busy, work.Call(Methods.Add, in numbers, ref answer, Deadline.After(milliseconds: 30)));
            Check.That(Stopwatch.GetElapsedTime(begin).TotalMilliseconds >= 30, "the deadline came early");
            begin = Stopwatch.GetTimestamp();
            Deadline both = Deadline.At(TimeSpan.FromMilliseconds(30));
            Check.Equal(CallStatus.Busy, work.Call(Methods.Add, in numbers, ref answer, both));
            Check.That(Stopwatch.GetElapsedTime(begin).TotalMilliseconds >= 29.9, "the deadline came early");
            Check.Equal(CallStatus.Busy, work.Call(Methods.Add, in numbers, ref answer, both));
            Check.Equal(CallStatus.Busy, work.Call(Methods.Echo, [1], new byte[1], out int length, Deadline.Immediate));
            Check.Equal(0, length);
            Check.Equal(-1L, answer);

            CallStatus[] later = new CallStatus[3];
            long[] sums = new long[3];
            Deadline[] deadlines = [Deadline.Never, Calls.Soon, Deadline.At(Check.Patience)];
            Thread[] waiters = [.. Enumerable.Range(0, 3).Select(i => new Thread(() => later[i] = work.Call(Methods.Add, in numbers, ref sums[i], deadlines[i])))];
            foreach (Thread t in waiters)
            {
                t.Start();
            }

            ComeToWait("work", 3);
            tell();
            foreach (Thread t in waiters)
            {
                Check.Ends(t);
            }

            Check.That(later.All(s => s == CallStatus.Answered), string.Join(' ', later));
            Check.That(sums.All(s => s == 3));
        });
    }

    private static void Cancel(RpalConnection work)
    {
        Numbers numbers = new(1, 2);
        long answer = 0;
        var cancelled = new CancellationToken(canceled: true);
        Check.Throws<OperationCanceledException>(() => work.Call(Methods.Add, in numbers, ref answer, Deadline.Never, cancelled));
        Check.Throws<OperationCanceledException>(() => work.Call(Methods.Echo, [1], new byte[1], out _, Deadline.Never, cancelled));
        Check.Equal(0L, answer);
        Hold(work, _ =>
        {
            using var source = new CancellationTokenSource();
            bool thrown = false;
            var waiter = new Thread(() =>
            {
                OperationCanceledException e = Check.Throws<OperationCanceledException>(() => work.Call(Methods.Add, in numbers, ref answer, Deadline.Never, source.Token));
                thrown = e.CancellationToken == source.Token;
            });
            waiter.Start();
            ComeToWait("work", 1);
            source.Cancel();
            Check.That(waiter.Join(Check.Patience), "still waiting");
            Check.That(thrown);
        });
        Check.Equal(0L, answer);
        Check.Equal(3L, work.Add(1, 2));
    }

    /// <summary>A call that has begun is answered; those that wait get Closed.</summary>
    private static void DisposeWhileCalled()
    {
        RpalService service = StandardService.Register("closing", 2, static () => { });
        service.Enable();
        RpalConnection closing = Calls.Connect("closing");
        Numbers numbers = new(1, 2);
        long sum = 0;
        Hold(closing, tell =>
        {
            CallStatus waited = CallStatus.Answered;
            var waiter = new Thread(() => waited = closing.Call(Methods.Add, in numbers, ref sum, Deadline.Never));
            waiter.Start();
            ComeToWait("closing", 1);
            Task end = service.DisposeAsync().AsTask();
            Check.That(waiter.Join(Check.Patience), "a waiting sender was not told");
            Check.Equal(CallStatus.Closed, waited);
            Check.Equal(CallStatus.Closed, closing.Call(Methods.Add, in numbers, ref sum, Deadline.Never));
            Check.That(!end.IsCompleted);
            tell();
            end.Wait(Check.Patience);
            Check.That(end.IsCompletedSuccessfully);
        });
        Check.Equal(CallStatus.Closed, closing.Call(Methods.Add, in numbers, ref sum, Deadline.Never));
    }
}
