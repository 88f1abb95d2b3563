using System.Diagnostics;
using Rpal.Internal;
using Rpal.Linux;

namespace Rpal.TestMember.Scenarios;

/// <summary>Services that are enabled, disabled and gone, and who is told.</summary>
internal static class States
{
    public const string Name = "sometimes";

    private static RpalService? s_service;
    private static long s_handled;

    public static void Add(Dictionary<string, Func<string[], int>> scenarios)
    {
        scenarios.Add("watch", _ => Watch().GetAwaiter().GetResult());
        scenarios.AddCaller("watch-nothing", _ => WatchNothing().GetAwaiter().GetResult());
        scenarios.AddCaller("disabled-call", DisabledCall);
        scenarios.AddCaller("disable-under-load", DisableUnderLoad);
        scenarios.AddCaller("disable-while-called", _ => DisableWhileCalled());
    }

    // ----- what the standard service does when it is told to: a second service beside it

    public static long Register()
    {
        s_service = RpalService.Register(Name, new ServiceOptions { Receivers = 2 });
        s_service.Handle<Numbers, long>(Methods.Add, static (in q, ref a) =>
        {
            Interlocked.Increment(ref s_handled);
            a = q.First + q.Second;
        });
        return 1;
    }

    public static long Enable()
    {
        s_service!.Enable();
        return 1;
    }

    public static long Disable()
    {
        s_service!.DisableAsync().GetAwaiter().GetResult();
        return 1;
    }

    public static long Close()
    {
        s_service!.DisposeAsync().AsTask().GetAwaiter().GetResult();
        return 1;
    }

    /// <summary>Disables and enables, again and again, and looks whether a call is handled in between.</summary>
    /// <returns>Calls that were.</returns>
    public static long Flicker(long rounds)
    {
        long wrong = 0;
        for (int i = 0; i < rounds; i++)
        {
            Disable();
            long before = Volatile.Read(ref s_handled);
            for (int look = 0; look < 50; look++)
            {
                Thread.Yield();
            }

            wrong += Volatile.Read(ref s_handled) - before;
            Enable();
            if (i % 2 == 0)
            {
                Check.Comes(() => Volatile.Read(ref s_handled) > before);        // senders that waited are woken
            }
        }

        return wrong;
    }

    // ----- what others see

    private static async Task<int> Watch()
    {
        RpalConnection control = Calls.Connect("victim"), work = Calls.Connect("work");
        using var end = new CancellationTokenSource();
        IAsyncEnumerator<ServiceChange> changes = RpalFamily.WatchAsync(Name, end.Token).GetAsyncEnumerator();
        async Task<ulong?> Next(ServiceStatus wanted)
        {
            Check.That(await changes.MoveNextAsync().AsTask().WaitAsync(Check.Patience));
            Check.Equal(wanted, changes.Current.Status);
            return changes.Current.Registration;
        }

        Check.Equal(null, await Next(ServiceStatus.Absent));
        ulong? last = null;
        for (int i = 0; i < 10; i++)
        {
            control.Do(Deed.StateRegister);
            ulong? registration = await Next(ServiceStatus.Disabled);
            Check.That(registration is not null && registration != last);
            last = registration;
            for (int again = 0; again < 3; again++)
            {
                control.Do(Deed.StateEnable);
                control.Do(Deed.StateEnable);                    // nothing changes: nothing is told
                Check.Equal(registration, await Next(ServiceStatus.Enabled));
                control.Do(Deed.StateDisable);
                control.Do(Deed.StateDisable);
                Check.Equal(registration, await Next(ServiceStatus.Disabled));
            }

            control.Do(Deed.StateEnable);
            Check.Equal(registration, await Next(ServiceStatus.Enabled));
            RpalConnection short_ = Calls.Connect(Name);
            CancellationToken gone = short_.Gone;
            Check.That(!gone.IsCancellationRequested && gone == Calls.Connect(Name).Gone);
            Task told = Told(gone);
            control.Do(Deed.StateClose);
            Check.Equal(registration, await Next(ServiceStatus.Gone));
            await told.WaitAsync(Check.Patience);
            Check.That(short_.Gone.IsCancellationRequested);
        }

        // Registered anew between two looks: gone comes first.
        control.Do(Deed.StateRegister);
        ulong? former = await Next(ServiceStatus.Disabled);
        control.Do(Deed.StateClose);
        control.Do(Deed.StateRegister);
        control.Do(Deed.StateEnable);
        Check.Equal(former, await Next(ServiceStatus.Gone));
        ulong? killed = await Next(ServiceStatus.Enabled);

        // Its process is killed: the one that waits in another subscription is told as well, and so is the token.
        RpalConnection connection = Calls.Connect(Name);
        Task dead = Told(connection.Gone);
        int pid = (int)control.Do(Deed.KernelPid);
        Check.Equal(0, Sys.Kill(pid, Signal.SIGKILL));
        Check.Equal(killed, await Next(ServiceStatus.Gone));
        await dead.WaitAsync(Check.Patience);
        long answer = 0;
        Check.Equal(CallStatus.PeerDied, connection.Call(Methods.Add, new Numbers(1, 2), ref answer, Calls.Soon));

        // The name is free for another process.
        Register();
        Check.That(await Next(ServiceStatus.Disabled) > killed);
        Enable();
        await Next(ServiceStatus.Enabled);
        Check.That(connection.Gone.IsCancellationRequested && !Calls.Connect(Name).Gone.IsCancellationRequested);
        Close();
        await Next(ServiceStatus.Gone);

        Task<bool> waits = changes.MoveNextAsync().AsTask();
        Check.That(!waits.IsCompleted);
        await end.CancelAsync();
        try
        {
            await waits.WaitAsync(Check.Patience);
            throw new ScenarioFailedException("not cancelled");
        }
        catch (OperationCanceledException)
        {
        }

        await changes.DisposeAsync();
        Check.Comes(() => !DirectoryWatch.IsRunning);
        work.Stop();
        return 0;
    }

    private static async Task WatchNothing()
    {
        Check.Throws<ArgumentException>(static () => RpalFamily.WatchAsync(""));
        Check.That(!DirectoryWatch.IsRunning);
        IAsyncEnumerable<ServiceChange> work = RpalFamily.WatchAsync("work");
        Check.That(!DirectoryWatch.IsRunning);                   // it is the enumeration that watches
        for (int i = 0; i < 3; i++)
        {
            await foreach (ServiceChange change in work)
            {
                Check.Equal(ServiceStatus.Enabled, change.Status);
                break;
            }
        }

        Check.Comes(static () => !DirectoryWatch.IsRunning);
        await foreach (ServiceChange change in work)
        {
            Check.That(change.Status == ServiceStatus.Enabled && DirectoryWatch.IsRunning);
            break;
        }
    }

    private static void DisabledCall(RpalConnection work)
    {
        work.Do(Deed.StateRegister);
        work.Do(Deed.StateDisable);                              // not enabled yet: allowed, and nothing to do
        work.Do(Deed.StateEnable);
        RpalConnection some = Calls.Connect(Name);
        Check.Equal(3L, some.Add(1, 2));
        for (int i = 0; i < 5; i++)
        {
            work.Do(Deed.StateDisable);
            long answer = -1, begin = Stopwatch.GetTimestamp();
            Check.Equal(CallStatus.Busy, some.Call(Methods.Add, new Numbers(1, 2), ref answer, Deadline.After(milliseconds: 30)));
            Check.That(Stopwatch.GetElapsedTime(begin).TotalMilliseconds >= 30, "the deadline came early");
            Check.Equal(CallStatus.Busy, some.Call(Methods.Add, new Numbers(1, 2), ref answer, Deadline.Immediate));
            Check.Equal(-1L, answer);
            CallStatus[] later = new CallStatus[3];
            long[] sums = new long[3];
            Thread[] waiters = [.. Enumerable.Range(0, 3).Select(t => new Thread(() => later[t] = some.Call(Methods.Add, new Numbers(t, 2), ref sums[t], t == 0 ? Deadline.Never : Calls.Soon)))];
            foreach (Thread t in waiters)
            {
                t.Start();
            }

            Check.Equal(CallStatus.Busy, some.Call(Methods.Add, new Numbers(1, 2), ref answer, Deadline.After(milliseconds: 5)));
            Check.That(waiters.All(t => t.IsAlive));
            work.Do(Deed.StateEnable);
            foreach (Thread t in waiters)
            {
                Check.That(t.Join(Check.Patience), "a waiting sender was not told");
            }

            Check.That(later.All(s => s == CallStatus.Answered), string.Join(' ', later));
            Check.That(sums.SequenceEqual([2L, 3L, 4L]));
        }

        // Those who wait for a disabled service learn that it was closed.
        work.Do(Deed.StateDisable);
        CallStatus status = CallStatus.Answered;
        long sum = 0;
        var waiter = new Thread(() => status = some.Call(Methods.Add, new Numbers(1, 2), ref sum, Deadline.Never));
        waiter.Start();
        work.Do(Deed.StateClose);
        Check.That(waiter.Join(Check.Patience), "a waiting sender was not told");
        Check.Equal(CallStatus.Closed, status);
    }

    private static void DisableUnderLoad(RpalConnection work)
    {
        work.Do(Deed.StateRegister);
        work.Do(Deed.StateEnable);
        RpalConnection some = Calls.Connect(Name);
        bool stop = false;
        Check.Parallel(4, t =>
        {
            if (t == 0)
            {
                try
                {
                    Check.Equal(0L, work.Do(Deed.StateFlicker, 200));
                }
                finally
                {
                    Volatile.Write(ref stop, true);
                }

                return;
            }

            long answer = 0;
            for (long i = 0; !Volatile.Read(ref stop); i++)
            {
                Check.Equal(CallStatus.Answered, some.Call(Methods.Add, new Numbers(i, t), ref answer, Calls.Soon));
                Check.Equal(i + t, answer);
            }
        });
        work.Do(Deed.StateClose);
    }

    /// <summary>A call that has begun is answered, and waited for; those that wait stay.</summary>
    private static void DisableWhileCalled()
    {
        RpalService service = StandardService.Register("pausing", 2, static () => { });
        service.Enable();
        RpalConnection pausing = Calls.Connect("pausing");
        Numbers numbers = new(1, 2);
        long sum = 0;
        Waiting.Hold(pausing, tell =>
        {
            CallStatus waited = CallStatus.Busy;
            var waiter = new Thread(() => waited = pausing.Call(Methods.Add, in numbers, ref sum, Deadline.Never));
            waiter.Start();
            Task drained = service.DisableAsync(), again = service.DisableAsync();
            Check.That(!drained.IsCompleted && !again.IsCompleted);
            tell();
            Check.That(drained.Wait(Check.Patience) && again.Wait(Check.Patience));
            Check.Equal(CallStatus.Busy, pausing.Call(Methods.Add, in numbers, ref sum, Deadline.After(milliseconds: 5)));
            Check.That(waiter.IsAlive);
            service.Enable();
            Check.That(waiter.Join(Check.Patience), "a waiting sender was not told");
            Check.Equal(CallStatus.Answered, waited);
        });

        // Enabled again before the calls ended: the wait is over, and nobody was refused.
        Waiting.Hold(pausing, tell =>
        {
            Task drained = service.DisableAsync();
            Check.That(!drained.IsCompleted);
            service.Enable();
            Check.That(drained.Wait(Check.Patience));
            tell();
        });
        Check.Equal(3L, pausing.Add(1, 2));
        Check.That(service.DisableAsync().Wait(Check.Patience));
        service.DisposeAsync().AsTask().GetAwaiter().GetResult();
        Check.Equal(CallStatus.Closed, pausing.Call(Methods.Add, in numbers, ref sum, Deadline.Never));
        Check.Error(RpalError.Closed, () => service.DisableAsync());
    }

    private static async Task Told(CancellationToken token)
    {
        var told = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using CancellationTokenRegistration registration = token.Register(told.SetResult);
        await told.Task;
    }
}
