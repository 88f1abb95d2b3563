namespace Rpal.TestMember.Scenarios;

/// <summary>What a handler may do: everything that its process may.</summary>
internal static class Handlers
{
    public static void Add(Dictionary<string, Func<string[], int>> scenarios)
    {
        scenarios.AddCaller("exceptions", Exceptions);
        scenarios.AddCaller("in-handler", work =>
        {
            int rounds = 50, me = Environment.ProcessId;
            long pid = work.Do(Deed.KernelPid);
            Check.That(pid != me);
            for (int i = 0; i < rounds; i++)
            {
                Check.Equal(42L, work.Do(Deed.CatchNullReference));
                Check.Equal(pid, work.Do(Deed.File));
                Check.Equal(1L, work.Do(Deed.Socket));
                Check.Equal(400L, work.Do(Deed.Lock, 200));
                Check.Equal(8L, work.Do(Deed.TaskWait, 7));
                Check.Equal(1L, work.Do(Deed.Sleep, 1));
                Check.Equal(1L, work.Do(Deed.Timer));
                Check.That(work.Do(Deed.StartThread) > 0);
                Check.That(work.Do(Deed.Collect) > 0);
                Check.Equal(3L * 300_000, work.Do(Deed.BigFrame, 300_000));
                Check.Equal(3000L, work.Do(Deed.Recurse, 3000));
            }

            for (int i = 0; i < 5; i++)
            {
                Check.Equal(pid, work.Do(Deed.StartProcess));
            }
        });
        scenarios.AddCaller("write-line", work => Check.Equal(1L, work.Do(Deed.WriteLine)));
        scenarios.AddCaller("thread-state", ThreadState);
        scenarios.AddCaller("counters", Counters);
    }

    private static void Exceptions(RpalConnection work)
    {
        RemoteCallException Thrown(Deed deed) => Check.Throws<RemoteCallException>(() => work.Do(deed));
        for (int i = 0; i < 20; i++)
        {
            RemoteCallException e = Thrown(Deed.Throw);
            Check.Equal("System.InvalidOperationException", e.RemoteType);
            Check.Equal("as told", e.RemoteMessage);
            Check.That(e.RemoteStack.Contains("StandardService", StringComparison.Ordinal), e.RemoteStack);
            Check.That(e.Message.Contains("work", StringComparison.Ordinal), e.Message);
            Check.That(e.ToString().Contains("Deeds.Do", StringComparison.Ordinal), e.ToString());

            e = Thrown(Deed.ThrowHuge);
            Check.Equal("System.InvalidOperationException", e.RemoteType);
            Check.That(e.RemoteMessage.Length is > 3000 and < 4096 && e.RemoteMessage.AsSpan().IndexOfAnyExcept('ä') < 0, $"{e.RemoteMessage.Length}");
            Check.Equal("", e.RemoteStack);

            e = Thrown(Deed.ThrowSurrogates);
            Check.Equal("a\uFFFDb\uFFFDc", e.RemoteMessage);

            e = Thrown(Deed.ThrowZeroes);
            Check.That(e.RemoteMessage.StartsWith("before", StringComparison.Ordinal) && e.RemoteMessage.EndsWith("after", StringComparison.Ordinal), e.RemoteMessage);
            Check.That(e.RemoteStack.Contains("StandardService", StringComparison.Ordinal), e.RemoteStack);

            e = Thrown(Deed.ThrowingMessage);
            Check.That(e.RemoteType.EndsWith("MessageThrowsException", StringComparison.Ordinal), e.RemoteType);

            e = Thrown(Deed.DivideByZero);
            Check.Equal("System.DivideByZeroException", e.RemoteType);
            Check.Equal(3L, work.Add(1, 2));
        }
    }

    /// <summary>Thread-statics are the receiver's: the one receiver of this service sums up, whoever calls. AsyncLocals are each call's
    /// own.</summary>
    private static void ThreadState(RpalConnection work)
    {
        RpalService one = StandardService.Register("one", 1, static () => { });
        one.Enable();
        RpalConnection own = Calls.Connect("one");
        Check.Equal(1L, own.Do(Deed.ThreadStatics, 1));
        Check.Parallel(4, _ =>
        {
            for (int i = 0; i < 1000; i++)
            {
                own.Do(Deed.ThreadStatics, 1);
                Check.Equal(1L, own.Do(Deed.AsyncLocals, 1));
                work.Do(Deed.ThreadStatics, 1);
            }
        });
        Check.Equal(4001L, own.Do(Deed.ThreadStatics, 0));
        Check.Equal(0L, own.Do(Deed.AsyncLocals, 0));
        one.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }

    private static void Counters(RpalConnection work)
    {
        // Warm: the first calls load and compile, which needs the kernel.
        foreach (Deed deed in (ReadOnlySpan<Deed>)[Deed.Yield, Deed.Sleep, Deed.Advise, Deed.FileExists, Deed.InPlace, Deed.LazySwitches])
        {
            for (int i = 0; i < 100; i++)
            {
                work.Do(deed, 1);
            }
        }

        (long InPlace, long Lazy) Of(Deed deed, int argument)
        {
            long inPlace = work.Do(Deed.InPlace), lazy = work.Do(Deed.LazySwitches);
            for (int i = 0; i < 100; i++)
            {
                work.Do(deed, argument);
            }

            return (work.Do(Deed.InPlace) - inPlace, work.Do(Deed.LazySwitches) - lazy);
        }

        (long inPlaceYield, long lazyYield) = Of(Deed.Yield, 5);
        (long inPlaceSleep, long lazySleep) = Of(Deed.Sleep, 1);
        (long inPlaceAdvise, long lazyAdvise) = Of(Deed.Advise, 0);
        (long inPlaceFile, long lazyFile) = Of(Deed.FileExists, 0);
        Console.WriteLine($"yield {inPlaceYield} {lazyYield}, sleep {inPlaceSleep} {lazySleep}, madvise {inPlaceAdvise} {lazyAdvise}, file {inPlaceFile} {lazyFile}");

        // The callee's collector or tiered compilation may evict a context now and then; nothing does so a hundred times.
        Check.That(inPlaceYield >= 500 && lazyYield < 20);
        Check.That(inPlaceSleep >= 100 && lazySleep < 20);
        Check.That(inPlaceAdvise >= 100 && lazyAdvise < 20);
        Check.That(inPlaceFile < 20 && lazyFile >= 100);
        (long inPlaceNothing, long lazyNothing) = Of(Deed.Nothing, 0);
        Check.That(inPlaceNothing < 20 && lazyNothing < 20);
    }
}
