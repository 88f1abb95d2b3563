using Rpal.Linux;

namespace Rpal.TestMember.Scenarios;

/// <summary>
/// Callers that meet what was another's: GS inherited from a thread that has ended, its stack and so its FS, its block. Each meeting is a
/// way in which a program gets such a thread without asking for it, and each handler asks the kernel whose process it is. Nobody may hang,
/// and nobody be another.
/// </summary>
internal static class Meetings
{
    private const int HandlerMs = 1, PauseMs = 1;

    public static void Add(Dictionary<string, Func<string[], int>> scenarios) =>
        scenarios.Add("meetings", static args => Meet(int.Parse(args[0])));

    private static int Meet(int rounds)
    {
        RpalConnection work = Calls.Connect("work");
        long service = work.Do(Deed.KernelPid);
        (string Name, Action<Caller> Meet)[] ways = [("heirs", Heirs), ("beside an heir", BesideAnHeir),
            ("connected late", ConnectedLate), ("pool", Pool), ("timer", TimerThread)];
        for (int round = 0; round < rounds; round++)
        {
            (string name, Action<Caller> meet) = ways[round % ways.Length];
            try
            {
                meet(new Caller(work, service));
            }
            catch (Exception e)
            {
                throw new ScenarioFailedException($"meeting {round}, {name}, service {service}, this process {Sys.GetPid()}: {e}");
            }
        }

        work.Stop();
        return 0;
    }

    /// <summary>The connection, and who must answer.</summary>
    private sealed record Caller(RpalConnection Work, long Service)
    {
        public void Ask() => Check.Equal(Service, Work.Do(Deed.KernelPid));

        public void AskSlowly()
        {
            Work.Do(Deed.Sleep, HandlerMs);
            Ask();
        }
    }

    /// <summary>A thread calls, starts the next and ends; when it is gone the next starts two that call at a time.</summary>
    private static void Heirs(Caller caller) => Await(AfterEnd(caller, () => Await(OnThread(caller.AskSlowly), OnThread(caller.Ask))));

    /// <summary>While an heir is in a handler a thread of another descent comes to have the block of the one that ended.</summary>
    private static void BesideAnHeir(Caller caller)
    {
        using var begun = new ManualResetEventSlim();
        Task heir = AfterEnd(caller, () => Await(OnThread(() =>
        {
            begun.Set();
            caller.AskSlowly();
        })));
        Check.That(begun.Wait(Check.Patience), "the heir did not begin");
        Await(OnThread(() =>
        {
            caller.AskSlowly();
            caller.Ask();
            caller.Ask();
        }));
        Await(heir);
    }

    /// <summary>Calls on the thread on which a connection came, and after a pause on those of the pool.</summary>
    private static void ConnectedLate(Caller caller)
    {
        Task<RpalConnection> late = RpalConnection.ConnectAsync(States.Name);
        Task calls = Task.Run(async () =>
        {
            _ = await late.ConfigureAwait(false);
            caller.Ask();
            await Task.Delay(PauseMs).ConfigureAwait(false);
            Task slow = Task.Run(caller.AskSlowly);
            caller.Ask();
            await slow.ConfigureAwait(false);
        });
        Await(OnThread(() =>
        {
            caller.Work.Do(Deed.StateRegister);
            caller.Work.Do(Deed.StateEnable);
        }));
        Await(calls);
        Await(OnThread(() => caller.Work.Do(Deed.StateClose)));
    }

    private static void Pool(Caller caller) => Await(Task.Run(async () =>
    {
        caller.Ask();
        await Task.Delay(PauseMs).ConfigureAwait(false);
        await Task.WhenAll(Task.Run(caller.AskSlowly), Task.Run(caller.Ask)).ConfigureAwait(false);
    }));

    private static void TimerThread(Caller caller)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var timer = new Timer(_ => Complete(done, caller.AskSlowly), null, PauseMs, Timeout.Infinite);
        Await(done.Task);
    }

    /// <summary>Runs it on a thread whose creator has called and ended.</summary>
    private static Task AfterEnd(Caller caller, Action then)
    {
        Task? rest = null;
        Await(OnThread(() =>
        {
            caller.Ask();
            int first = Sys.GetTid();
            rest = OnThread(() =>
            {
                Check.Comes(() => Sys.Tgkill(Sys.GetPid(), first, 0) == -(int)Errno.ESRCH);
                then();
            });
        }));
        return rest!;
    }

    private static Task OnThread(Action body)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(() => Complete(done, body)) { IsBackground = true }.Start();
        return done.Task;
    }

    private static void Complete(TaskCompletionSource done, Action body)
    {
        try
        {
            body();
            done.SetResult();
        }
        catch (Exception e)
        {
            done.SetException(e);
        }
    }

    private static void Await(params Task[] tasks) => Check.That(Task.WaitAll(tasks, Check.Patience), "a caller has not returned");
}
