using Rpal.Machine.Blocks;
using System.Runtime.InteropServices;
using System.Runtime.CompilerServices;
using Rpal.Internal;
using Rpal.Linux;

namespace Rpal.TestMember.Scenarios;

/// <summary>Threads that come and go on both sides.</summary>
internal static class Threads
{
    private const long GrowthLimitBytes = 64 << 20;

    public static void Add(Dictionary<string, Func<string[], int>> scenarios)
    {
        scenarios.AddCaller("senders-come-and-go", SendersComeAndGo);
        scenarios.AddCaller("started-by-a-sender", StartedByASender);
        scenarios.AddCaller("after-a-sender", AfterASender);
        scenarios.AddCaller("gs-is-taken", GsIsTaken);
        scenarios.AddCaller("gs-is-taken-in-a-handler", static work => Check.That(work.TryDo(Deed.TakeGs) == CallStatus.PeerDied));
        scenarios.AddCaller("big-request", BigRequest);
        scenarios.AddCaller("sets-ids", SetsIds);
        scenarios.AddCaller("blocks-signals", BlocksSignals);
        scenarios.Add("services-come-and-go", _ => ServicesComeAndGo(500));
        scenarios.Add("old-connections", _ => OldConnections());
    }

    private static void SendersComeAndGo(RpalConnection work)
    {
        void Generation(int threads) => Check.Parallel(threads, t =>
        {
            for (int i = 0; i < 3; i++)
            {
                Check.Equal((long)t + i, work.Add(t, i));
            }
        });

        // Without a collection on either side nobody but the armory itself can notice that a thread is gone.
        Check.That(GC.TryStartNoGCRegion(200 << 20));
        for (int i = 0; i < 50; i++)
        {
            Generation(8);
        }

        long before = Environment.WorkingSet;
        for (int i = 0; i < 500; i++)
        {
            Generation(8);
        }

        GC.EndNoGCRegion();
        Check.That(ThreadArmory.BlocksInUse < 64, $"{ThreadArmory.BlocksInUse} blocks in use");
        Check.That(Environment.WorkingSet - before < GrowthLimitBytes, $"grew from {before} to {Environment.WorkingSet} bytes");
    }

    /// <summary>GS is inherited by clone: a new thread must not be taken for the one that started it.</summary>
    private static void StartedByASender(RpalConnection work)
    {
        work.Add(1, 1);
        for (int round = 0; round < 50; round++)
        {
            bool stop = false;
            var other = new Thread(() =>
            {
                for (int i = 0; !Volatile.Read(ref stop); i++)
                {
                    Check.Equal(i + 1L, work.Add(i, 1));
                    Check.Equal(1L, work.Do(Deed.FileExists));
                }
            });
            other.Start();
            for (int i = 0; i < 300; i++)
            {
                Check.Equal(i - 1L, work.Add(i, -1));
                if (i % 10 == 0)
                {
                    Check.Equal(1L, work.Do(Deed.FileExists));
                }
            }

            Volatile.Write(ref stop, true);
            Check.Ends(other);
        }
    }

    /// <summary>
    /// What a sender's child starts once the sender has ended has that one's GS by clone, and with its stack its FS: it must not be taken
    /// for it.
    /// It would enter the service without Syscall User Dispatch, and the handler's system calls would be this process's.
    /// </summary>
    private static unsafe void AfterASender(RpalConnection work)
    {
        long service = work.Do(Deed.KernelPid);
        int met = 0;
        for (int round = 0; round < 50; round++)
        {
            int sender = 0;
            nint fs = 0;
            Thread? child = null;
            using var ended = new ManualResetEventSlim();
            Check.Parallel(1, _ =>
            {
                Check.Equal(service, work.Do(Deed.KernelPid));
                (sender, fs) = (ThreadArmory.Current->Tid, ThreadArmory.Current->Fs);
                child = new Thread(() =>
                {
                    Check.That(ended.Wait(Check.Patience), "the sender has not ended");
                    Check.Parallel(2, _ =>
                    {
                        Check.Equal(service, work.Do(Deed.KernelPid));
                        work.Do(Deed.Sleep, 2);                  // the other one is armed meanwhile, with the block of the one that ended
                        Check.Equal(service, work.Do(Deed.KernelPid));
                        Check.Equal(Sys.GetTid(), ThreadArmory.Current->Tid);
                        Interlocked.Add(ref met, ThreadArmory.Current->Fs == fs ? 1 : 0);
                    });
                });
                child.Start();
            });
            Check.Comes(() => Sys.Tgkill(Sys.GetPid(), sender, 0) == -(int)Errno.ESRCH);     // its managed thread has ended before
            ended.Set();
            Check.Ends(child);
        }

        Check.That(met > 0, "no thread got the FS of one that had ended: nothing was tested");
    }

    /// <summary>A library sets GS in a thread that is armed, to memory of its own, to nothing, and to what is not mapped. Signals come
    /// meanwhile.</summary>
    private static unsafe void GsIsTaken(RpalConnection work)
    {
        long service = work.Do(Deed.KernelPid);
        const int archPrctl = 158, setGs = 0x1001, getGs = 0x1004, page = 4096;
        const nint notMapped = 0x10000;
        byte* own = (byte*)NativeMemory.AlignedAlloc(page, page), lines = (byte*)NativeMemory.AlignedAlloc(page, page);
        new Span<byte>(own, page).Fill(1);                       // no words that mean nothing
        new Span<byte>(lines, page).Clear();
        Check.Parallel(1, _ =>
        {
            nint before = 0, after = 0;
            Check.Equal(0, (int)Sys.Invoke(archPrctl, getGs, (nint)(&before)));
            Check.Equal(0, (int)Sys.Invoke(archPrctl, setGs, (nint)own));
            Check.Error(RpalError.Unsupported, () => work.Add(1, 2));            // its first call: a library's GS is not replaced
            Check.Equal(0, (int)Sys.Invoke(archPrctl, getGs, (nint)(&after)));
            Check.Equal(0, (int)Sys.Invoke(archPrctl, setGs, before));
            Check.Equal((nint)own, after);
            Check.Equal(3L, work.Add(1, 2));
        });
        Check.Parallel(1, _ =>
        {
            foreach (bool hasCalled in (ReadOnlySpan<bool>)[false, true])
            {
                Check.That(ThreadArmory.Current is not null);   // armed
                if (hasCalled)
                {
                    Check.Equal(3L, work.Add(1, 2));
                }

                foreach (nint taken in (ReadOnlySpan<nint>)[(nint)own, (nint)own + page - sizeof(long), 0, notMapped])
                {
                    nint before = 0;
                    Check.Equal(0, (int)Sys.Invoke(archPrctl, getGs, (nint)(&before)));
                    Check.Equal(0, (int)Sys.Invoke(archPrctl, setGs, taken));
                    RpalException refused = Check.Throws<RpalException>(() => work.Add(1, 2));
                    Check.Parallel(1, _ => GC.Collect());        // interrupts this one
                    int counted = ((delegate* unmanaged[SuppressGCTransition]<byte*, nint, long, int>)FamilyHeader.At->Address(Routine.PerCpuAdd))(lines, sizeof(long), 5);
                    int cpu = ((delegate* unmanaged[SuppressGCTransition]<int>)FamilyHeader.At->Address(Routine.PerCpuNumber))();
                    Check.Equal(0, (int)Sys.Invoke(archPrctl, setGs, before));
                    Check.Equal(RpalError.Unsupported, refused.Error);
                    Check.That(refused.Message.Contains("another GS base", StringComparison.Ordinal), refused.Message);
                    Check.That(new ReadOnlySpan<byte>(own, page).IndexOfAnyExcept((byte)1) < 0, "the library's memory was written to");
                    Check.That(counted == -1 && cpu == -1 && new ReadOnlySpan<byte>(lines, page).IndexOfAnyExcept((byte)0) < 0, $"a section of {cpu} ran");
                }

                Check.Equal(3L, work.Add(1, 2));
                Check.Equal(service, work.Do(Deed.KernelPid));
            }
        });
    }

    /// <summary>As native libraries start their threads: with all signals blocked.</summary>
    private static unsafe void BlocksSignals(RpalConnection work)
    {
        Check.Parallel(2, _ =>
        {
            ulong all = ulong.MaxValue;
            Check.Equal(0, Sys.RtSigprocmask(SignalMaskHow.SetMask, &all, null));
            for (int i = 0; i < 100; i++)
            {
                Check.Equal(1L, work.Do(Deed.FileExists));
            }

            Check.That(work.Do(Deed.Collect) > 0);
        });
    }

    /// <summary>libc has every thread change its ids, and waits for each. Caller and service do it, while calls go on.</summary>
    private static void SetsIds(RpalConnection work)
    {
        bool over = false;
        var callers = new Thread(() => Check.Parallel(2, t =>
        {
            for (int i = 0; !Volatile.Read(ref over); i++)
            {
                work.CheckChecksum(t * 1000 + i);
            }
        }));
        callers.Start();
        for (int i = 0; i < 100; i++)
        {
            KernelDeeds.SetIds();
            work.Do(Deed.SetIds);
        }

        Volatile.Write(ref over, true);
        Check.That(callers.Join(Check.Patience));
    }

    /// <summary>A request larger than this thread's stack, by reference: nothing of a call copies it.</summary>
    private static unsafe void BigRequest(RpalConnection work)
    {
        RpalService service = RpalService.Register("big", new ServiceOptions { Receivers = 1 });
        Huge* huge = (Huge*)NativeMemory.AllocZeroed((nuint)sizeof(Huge));
        (*huge)[5] = 9;
        service.Handle<Huge, long>(1, static (in q, ref a) => a = q[5]);
        service.Enable();
        RpalConnection connection = Calls.Connect("big");
        Check.Parallel(1, _ =>
        {
            long answer = 0;
            Check.Equal(CallStatus.Answered, connection.Call(1, in *huge, ref answer, Calls.Soon));
            Check.Equal(9L, answer);
        });
    }

    [InlineArray(10 << 20)]
    private struct Huge
    {
        private byte _first;
    }

    private static int ServicesComeAndGo(int times)
    {
        long before = 0, answer = 0;
        for (int i = 0; i < times; i++)
        {
            RpalService service = RpalService.Register("again", new ServiceOptions { Receivers = 3 });
            service.Handle<long, long>(1, static (in q, ref a) => a = q + 1);
            service.Handle<long, bool>(2, static (in _, ref a) => a = File.Exists("/proc/self/status"));
            service.Enable();
            RpalConnection again = Calls.Connect("again");
            Check.Equal(CallStatus.Answered, again.Call(1, 1L + i, ref answer, Calls.Soon));
            Check.Equal(2L + i, answer);
            bool found = false;
            Check.Equal(CallStatus.Answered, again.Call(2, 0L, ref found, Calls.Soon));
            Check.That(found);
            service.DisposeAsync().AsTask().GetAwaiter().GetResult();
            Check.Equal(CallStatus.Closed, again.Call(1, 1L, ref answer, Calls.Soon));
            if (i == times / 5)
            {
                before = Environment.WorkingSet;
            }
        }

        Check.That(ThreadArmory.BlocksInUse < 32, $"{ThreadArmory.BlocksInUse} blocks in use");
        Check.That(Environment.WorkingSet - before < GrowthLimitBytes, $"grew from {before} to {Environment.WorkingSet} bytes");
        return 0;
    }

    /// <summary>A connection belongs to one registration, whatever takes its name, place and receivers later.</summary>
    private static int OldConnections()
    {
        var old = new List<RpalConnection>();
        long answer = 0;
        for (int i = 0; i < 20; i++)
        {
            RpalService service = RpalService.Register("name", new ServiceOptions { Receivers = 2, Key = 5 });
            service.Handle<long, long>(1, (in q, ref a) => a = q * i);
            service.Enable();
            old.ForEach(c => Check.Equal(CallStatus.Closed, c.Call(1, 3L, ref answer, Deadline.Never)));
            RpalConnection fresh = Calls.Connect("name");
            Check.Equal(CallStatus.Answered, fresh.Call(1, 3L, ref answer, Calls.Soon));
            Check.Equal(3L * i, answer);
            old.Add(fresh);
            service.DisposeAsync().AsTask().GetAwaiter().GetResult();
        }

        return 0;
    }
}
