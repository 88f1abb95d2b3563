using System.Diagnostics.Metrics;
using Rpal.Internal;
using Rpal.Machine.Accounting;
using Rpal.Machine.Blocks;

namespace Rpal.TestMember.Scenarios;

/// <summary>Time of calls. Bounds are loose: the machine may be busy, and time that a thread waits for a CPU in a handler counts.</summary>
internal static unsafe class Accounting
{
    private const int LongMs = 200;

    /// <summary>A sleep of <see cref="LongMs"/> that was counted does not stay below.</summary>
    private static readonly TimeSpan s_little = TimeSpan.FromMilliseconds(100);

    private static int Me => MemberRuntime.Member->Index;

    private static ulong DonatedByMe => Books.Sum(Books.DonatedBy(Me));

    public static void Add(Dictionary<string, Func<string[], int>> scenarios)
    {
        scenarios.AddCaller("donated-computing", Computing);
        scenarios.AddCaller("donated-sleep", work =>
        {
            Warm(work, Deed.SleepAtHome, Deed.Sleep);
            Check.That(Donated(work, () => work.Do(Deed.SleepAtHome, LongMs)) < s_little);
            Check.That(Donated(work, () => work.Do(Deed.Sleep, LongMs)) < s_little);
        });
        scenarios.AddCaller("donated-never", work =>
        {
            work.Do(Deed.Compute, 50);
            Check.That(!RpalFamily.AccountsTime);
            Check.Equal(TimeSpan.Zero, work.DonatedTime);
            Check.Equal(0ul, Books.Sum(Books.All()));
        });
        scenarios.AddCaller("donated-from-the-start", work =>
        {
            Check.That(RpalFamily.AccountsTime);
            Check.Equal(3L, work.Add(1, 2));
            Check.That(work.DonatedTime > TimeSpan.Zero);
        });
        scenarios.AddCaller("donated-switching", Switching);
        scenarios.AddCaller("donated-threads", Threads);
        scenarios.Add("donated-slot-again", _ => SlotAgain());
        scenarios.Add("donated-forever", args => Forever(args[0], int.Parse(args[1])));
        scenarios.Add("donated-services", _ => Services());
        scenarios.Add("donated-nested", _ => Nested());
        scenarios.Add("donated-metrics", _ => Metrics());
    }

    private static void Switch(bool on) => Volatile.Write(ref MemberRuntime.Header->Accounting, on ? 1u : 0);

    private static void Warm(RpalConnection work, params Deed[] deeds)
    {
        Switch(true);
        foreach (Deed deed in deeds)
        {
            for (int i = 0; i < 50; i++)
            {
                work.Do(deed, 1);
            }
        }
    }

    private static TimeSpan Donated(RpalConnection service, Action calls)
    {
        TimeSpan before = service.DonatedTime;
        calls();
        TimeSpan donated = service.DonatedTime - before;
        Console.WriteLine($"{service.Service}: {donated.TotalMilliseconds:F3} ms");
        return donated;
    }

    private static void Computing(RpalConnection work)
    {
        Warm(work, Deed.Compute, Deed.ReceivedTicks);
        TimeSpan Of(int ms) => Donated(work, () =>
        {
            for (int i = 0; i < 20; i++)
            {
                work.Do(Deed.Compute, ms);
            }
        });
        TimeSpan some = Of(4), more = Of(16);
        Check.That(more > 1.5 * some && some > TimeSpan.FromMilliseconds(20), $"{some} {more}");

        TimeSpan before = work.DonatedTime, received = new(work.Do(Deed.ReceivedTicks)), after = work.DonatedTime;
        Check.That(before <= received && received <= after, $"{before} {received} {after}");
    }

    /// <summary>A call ends as it began, whatever the switch says then.</summary>
    private static void Switching(RpalConnection work)
    {
        const int threads = 3, rounds = 30_000;
        bool stop = false;
        long begin = System.Diagnostics.Stopwatch.GetTimestamp();
        var switcher = new Thread(() =>
        {
            for (bool on = false; !Volatile.Read(ref stop); on = !on)
            {
                Switch(on);
                Thread.SpinWait(50);
            }
        });
        switcher.Start();
        Check.Parallel(threads, t =>
        {
            for (int i = 0; i < rounds; i++)
            {
                Check.Equal(i + 1L, work.Add(i, 1));
                if (i % 100 == 0)
                {
                    work.Do(Deed.FileExists);
                    work.Do(Deed.Sleep, 0);
                }
            }
        });
        Volatile.Write(ref stop, true);
        Check.Ends(switcher);
        TimeSpan elapsed = System.Diagnostics.Stopwatch.GetElapsedTime(begin);
        Check.That(work.DonatedTime > TimeSpan.Zero && work.DonatedTime <= threads * elapsed, $"{work.DonatedTime} of {elapsed}");
    }

    /// <summary>What threads donated stays in the books when they are gone, and when others take their blocks.</summary>
    private static void Threads(RpalConnection work)
    {
        Warm(work, Deed.Compute);
        TimeSpan last = work.DonatedTime;
        for (int i = 0; i < 60; i++)
        {
            Check.Parallel(3, _ => work.Do(Deed.Compute, 1));
            Check.That(work.DonatedTime > last, $"{work.DonatedTime} after {last}");
            last = work.DonatedTime;
        }

        Check.That(last > TimeSpan.FromMilliseconds(60), $"{last}");
        Check.That(ThreadArmory.BlocksInUse < 32, $"{ThreadArmory.BlocksInUse} blocks in use");
    }

    /// <summary>A service that takes the directory entry of another inherits nothing, and nothing is lost. More services than places in a thread's list of receivers.</summary>
    private static int Services()
    {
        const int services = 80;
        Switch(true);
        ulong before = 0;
        long answer = 0;
        List<(OpeningBalance Balance, ulong Donated)> openings = [];
        for (int round = 0; round < 5; round++)
        {
            List<RpalService> all = [];
            List<RpalConnection> connections = [];
            for (int i = 0; i < services; i++)
            {
                RpalService service = RpalService.Register($"s{i}", new ServiceOptions { Receivers = 1 });
                service.Handle<long, long>(1, static (in q, ref a) => a = q + 1);
                service.Enable();
                all.Add(service);
                connections.Add(Calls.Connect($"s{i}"));
            }

            Check.That(all.TrueForAll(s => s.ReceivedTime == TimeSpan.Zero && s.Calls == 0));
            for (int i = 0; i < services; i++)
            {
                for (int call = 0; call <= i; call++)
                {
                    Check.Equal(CallStatus.Answered, connections[i].Call(1, 1L, ref answer, Calls.Soon));
                }

                Check.Equal(i + 1L, all[i].Calls);
                Check.Equal(all[i].ReceivedTime, connections[i].DonatedTime);
                Check.That(all[i].ReceivedTime > TimeSpan.Zero);
                Check.That(DonatedByMe > before, $"{DonatedByMe} after {before}");
                before = DonatedByMe;
                openings.Add((new OpeningBalance(Me), before));  // another in each state: rows of this round and of the last, and turned over
            }

            foreach ((OpeningBalance balance, ulong donated) in openings)
            {
                Check.Equal(DonatedByMe - donated, Books.Sum(balance.DonatedSince()));
            }

            Check.Equal(DonatedByMe, Books.Sum(Books.All().Where(r => r.Receiver == Me)));
            all.ForEach(s => s.DisposeAsync().AsTask().GetAwaiter().GetResult());
        }

        return 0;
    }

    /// <summary>Fails, and so is started again, until it is in a slot in which another process has made calls. Says what it has donated and received at its start, and then as metrics.</summary>
    private static int SlotAgain()
    {
        bool again = DonatedByMe > 0;
        RpalConnection work = Calls.Connect("work");
        using RpalServiceHolder own = new("own");
        RpalConnection connection = Calls.Connect("own");
        TimeSpan donated = work.DonatedTime + connection.DonatedTime, received = own.Service.ReceivedTime;
        double metrics = 0;
        using var listener = new MeterListener { InstrumentPublished = static (i, l) => (i.Name is "rpal.donated_time" or "rpal.service.received_time" ? l : null)?.EnableMeasurementEvents(i) };
        listener.SetMeasurementEventCallback<double>((_, v, _, _) => metrics += v);
        listener.Start();
        listener.RecordObservableInstruments();
        Console.WriteLine($"{(again ? "in a slot used again" : "at the start")}: {donated.Ticks} {received.Ticks} {metrics}");

        const int calls = 1000;
        for (int i = 0; i < calls; i++)
        {
            work.Add(i, 1);
            connection.Add(i, 1);
        }

        metrics = 0;
        listener.RecordObservableInstruments();
        Check.That(work.DonatedTime > TimeSpan.Zero && connection.DonatedTime == own.Service.ReceivedTime);
        Check.That(Math.Abs((work.DonatedTime + 2 * connection.DonatedTime).TotalSeconds - metrics) < 1e-5, $"{metrics}");
        return again ? 0 : 1;
    }

    /// <summary>Makes calls, says so, and stays.</summary>
    private static int Forever(string service, int calls)
    {
        RpalConnection connection = Calls.Connect(service);
        for (int i = 0; i < calls; i++)
        {
            connection.Add(i, 1);
        }

        Console.WriteLine("donated");
        Thread.Sleep(Timeout.Infinite);                          // until the test ends the family
        return 0;
    }

    /// <summary>A calls b, which has c do it.</summary>
    private static int Nested()
    {
        RpalConnection b = Calls.Connect("b"), c = Calls.Connect("c");
        void Forward(Deed deed, int argument)
        {
            long answer = 0;
            Check.Equal(CallStatus.Answered, b.Call(Methods.Forward, new Order(deed, argument), ref answer, Calls.Soon));
        }

        Switch(true);
        for (int i = 0; i < 50; i++)
        {
            Forward(Deed.Compute, 1);
            Forward(Deed.SleepAtHome, 1);
            Forward(Deed.Sleep, 1);
        }

        int memberB = (int)(b.Registration & ThreadAccount.MemberMask);
        ulong byB = Books.Sum(Books.DonatedBy(memberB));
        TimeSpan toB = Donated(b, () =>
        {
            for (int i = 0; i < 20; i++)
            {
                Forward(Deed.Compute, 5);
            }
        });
        TimeSpan toC = Books.ToTime(Books.Sum(Books.DonatedBy(memberB)) - byB);
        Check.That(toC > TimeSpan.FromMilliseconds(20) && toB > TimeSpan.FromMilliseconds(20), $"{toB} {toC}");
        Check.Equal(TimeSpan.Zero, c.DonatedTime);

        // However deep it sleeps, nobody pays: the pause holds the clocks of all calls on the thread.
        Check.That(Donated(b, () => Forward(Deed.SleepAtHome, LongMs)) < s_little);
        Check.That(Donated(b, () => Forward(Deed.Sleep, LongMs)) < s_little);
        b.Stop();
        c.Stop();
        return 0;
    }

    private static int Metrics()
    {
        using RpalServiceHolder own = new("own");
        Dictionary<string, double> seen = [];
        using var listener = new MeterListener
        {
            InstrumentPublished = static (instrument, l) =>
            {
                if (instrument.Meter.Name == "Rpal")
                {
                    l.EnableMeasurementEvents(instrument);
                }
            },
        };
        void Note(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            Check.Equal("rpal.service", tags[0].Key);
            Check.Equal("own", tags[0].Value);
            seen[$"{instrument.Name} {instrument.Unit}"] = value;
        }

        listener.SetMeasurementEventCallback<long>((i, v, tags, _) => Note(i, v, tags));
        listener.SetMeasurementEventCallback<double>((i, v, tags, _) => Note(i, v, tags));
        listener.Start();
        Switch(true);
        RpalConnection connection = Calls.Connect("own");
        for (int i = 0; i < 10; i++)
        {
            connection.Add(1, 1);
            connection.Do(Deed.FileExists);
            connection.Do(Deed.Yield, 1);
        }

        listener.RecordObservableInstruments();
        Check.Equal(30.0, seen["rpal.service.calls {call}"]);
        Check.That(seen["rpal.service.lazy_switches {switch}"] >= 10);
        Check.That(seen["rpal.service.system_calls_in_place {call}"] >= 1);
        Check.That(seen["rpal.service.received_time s"] > 0);
        Check.Equal(seen["rpal.service.received_time s"], seen["rpal.donated_time s"]);
        Check.Equal(connection.DonatedTime.TotalSeconds, seen["rpal.donated_time s"]);
        return 0;
    }

    private sealed class RpalServiceHolder : IDisposable
    {
        public RpalServiceHolder(string name)
        {
            Service = StandardService.Register(name, 1, static () => { });
            Service.Enable();
        }

        public RpalService Service { get; }

        public void Dispose() => Service.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }
}
