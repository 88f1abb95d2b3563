using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Rpal.Internal;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Cli.Bench;

/// <summary>The seed's message: 32 bytes, of which the first eight are the sender's time stamp.</summary>
[StructLayout(LayoutKind.Explicit, Size = 32)]
internal struct Message
{
    [FieldOffset(0)] public ulong SentAt;
    [FieldOffset(8)] public ulong TookTicks;
}

/// <summary>The members of the benchmark families.</summary>
internal static unsafe class CallRoles
{
    public const int BatchCalls = 300_000, Batches = 15;

    private const int Echo = 1, Stamp = 2, Identity = 3, InPlace = 4, Stop = 5;
    private const int WarmUpRounds = 8, WarmUpCalls = 60_000;
    private const int LazyCalls = 2_000, InPlaceCalls = 20_000;

    private static readonly delegate* unmanaged[SuppressGCTransition]<ulong> s_tsc = (delegate* unmanaged[SuppressGCTransition]<ulong>)FamilyHeader.At->Address(Routine.Tsc);

    /// <summary>The service's side of every family benchmark.</summary>
    public static void Serve()
    {
        var stop = new ManualResetEventSlim();
        RpalService service = RpalService.Register("bench", new ServiceOptions { Receivers = 2 });
        service.Handle(Echo, static (in Message q, ref Message a) => a = q);
        service.Handle(Stamp, static (in Message q, ref Message a) => a.TookTicks = s_tsc() - q.SentAt);
        service.Handle(Identity, static (in Message _, ref Message a) => a.TookTicks = (ulong)Sys.GetPid());
        service.Handle(InPlace, static (in Message _, ref Message a) => a.TookTicks = (ulong)Sys.Invoke(SyscallNumber.ClockGetres));
        service.Handle(Stop, (_, ref _) => stop.Set());
        service.Enable();
        RpalService floor = RpalService.Register("floor", new ServiceOptions { Receivers = 1 });
        floor.Enable(FamilyHeader.At->Address(Routine.EmptyHandler));
        stop.Wait();
    }

    public static void MeasureCall()
    {
        RpalConnection bench = Connect(), floor = RpalConnection.ConnectAsync("floor").GetAwaiter().GetResult();
        double[] calls = new double[Batches], accounted = new double[Batches], floors = new double[Batches], oneWays = new double[Batches];
        for (int batch = 0; batch < Batches; batch++)
        {
            calls[batch] = Cycles(() => Loop(bench, Echo, BatchCalls));
            accounted[batch] = Accounted(() => Cycles(() => Loop(bench, Echo, BatchCalls)));
            floors[batch] = Cycles(() => FloorLoop(floor, BatchCalls));
            oneWays[batch] = OneWay(bench, BatchCalls);
            PeerProtocol.Progress((batch + 1.0) / Batches);
        }

        PeerProtocol.Result(new { call = Statistics.Median(calls), accounted = Statistics.Median(accounted), floor = Statistics.Median(floors), ratio = Statistics.Median(calls.Zip(floors, (c, f) => c / f)), oneWay = Statistics.Median(oneWays) });
        End(bench);
    }

    public static void MeasureDemo(int messages)
    {
        RpalConnection bench = Connect();
        uint[] oneWay = new uint[messages], roundTrip = new uint[messages];
        Message q = default, a = default;
        for (int i = 0; i < messages; i++)
        {
            ulong begin = q.SentAt = s_tsc();
            Check(bench.Call(Stamp, in q, ref a, Deadline.Immediate));
            roundTrip[i] = (uint)Math.Min(s_tsc() - begin, uint.MaxValue);
            oneWay[i] = (uint)Math.Min(a.TookTicks, uint.MaxValue);
            if (i % (messages / 20 + 1) == 0)
            {
                PeerProtocol.Progress(i / (double)messages);
            }
        }

        PeerProtocol.Result(new { oneWay = Statistics.Of(oneWay), roundTrip = Statistics.Of(roundTrip) });
        End(bench);
    }

    public static void MeasureLazy()
    {
        RpalConnection bench = Connect();
        List<double> lazy = [], inPlace = [];
        for (int batch = 0; batch < Batches; batch++)
        {
            lazy.Add(Nanoseconds(bench, Identity, LazyCalls));
            inPlace.Add(Nanoseconds(bench, InPlace, InPlaceCalls));
            PeerProtocol.Progress((batch + 1.0) / Batches);
        }

        PeerProtocol.Result(new { lazy = Statistics.Median(lazy), inPlace = Statistics.Median(inPlace) });
        End(bench);
    }

    public static void MeasureScale()
    {
        RpalConnection bench = Connect();
        List<double> one = [], two = [];
        for (int batch = 0; batch < Batches; batch++)
        {
            one.Add(CallsPerSecond(bench, senders: 1));
            two.Add(CallsPerSecond(bench, senders: 2));
            PeerProtocol.Progress((batch + 1.0) / Batches);
        }

        PeerProtocol.Result(new { one = Statistics.Median(one), two = Statistics.Median(two), ratio = Statistics.Median(one.Zip(two, (a, b) => b / a)) });
        End(bench);
    }

    private static RpalConnection Connect()
    {
        RpalConnection bench = RpalConnection.ConnectAsync("bench").GetAwaiter().GetResult();
        for (int i = 0; i < WarmUpRounds; i++)
        {
            Loop(bench, Echo, WarmUpCalls);
            _ = OneWay(bench, WarmUpCalls);
        }

        return bench;
    }

    private static void End(RpalConnection bench) => Check(bench.Call(Stop, [], [], out _, Deadline.After(TimeSpan.FromSeconds(5))));

    private static void Loop(RpalConnection bench, int method, int calls)
    {
        Message q = default, a = default;
        Deadline deadline = Deadline.After(1000);
        for (int i = 0; i < calls; i++)
        {
            Check(bench.Call(method, in q, ref a, deadline));
        }
    }

    private static void FloorLoop(RpalConnection floor, int calls)
    {
        CallFrame frame = new() { Registration = floor.Registration };
        var loop = (delegate* unmanaged<ThreadBlock*, ReceiverBlock*, CallFrame*, long, uint>)FamilyHeader.At->Address(Routine.Floor);
        if (loop(ThreadArmory.Current, floor.FirstReceiver, &frame, calls) != 0)
        {
            throw new InvalidOperationException("The floor's receiver was not ready.");
        }
    }

    /// <summary>The seed's measure: the sender stamps, the receiver subtracts.</summary>
    private static double OneWay(RpalConnection bench, int calls)
    {
        Message q = default, a = default;
        ulong sum = 0;
        for (int i = 0; i < calls; i++)
        {
            q.SentAt = s_tsc();
            Check(bench.Call(Stamp, in q, ref a, Deadline.Immediate));
            sum += a.TookTicks;
        }

        return sum / (double)calls;
    }

    /// <summary>With time accounting, whatever this family has it at.</summary>
    private static double Accounted(Func<double> measure)
    {
        FamilyHeader* header = FamilyHeader.At;
        uint before = header->Accounting;
        header->Accounting = 1;
        double result = measure();
        header->Accounting = before;
        return result;
    }

    private static double Cycles(Action batch)
    {
        ulong begin = s_tsc();
        batch();
        return (s_tsc() - begin) / (double)BatchCalls;
    }

    private static double Nanoseconds(RpalConnection bench, int method, int calls)
    {
        long begin = Stopwatch.GetTimestamp();
        Loop(bench, method, calls);
        return Stopwatch.GetElapsedTime(begin).TotalNanoseconds / calls;
    }

    private static double CallsPerSecond(RpalConnection bench, int senders)
    {
        const int calls = 400_000;
        using var gate = new Barrier(senders + 1);
        long begin = 0;
        Thread[] threads = [.. Enumerable.Range(0, senders).Select(_ => new Thread(() =>
        {
            Loop(bench, Echo, 1000);                             // armed, and on a receiver of its own
            gate.SignalAndWait();
            Loop(bench, Echo, calls);
        }))];
        foreach (Thread t in threads)
        {
            t.Start();
        }

        gate.SignalAndWait();
        begin = Stopwatch.GetTimestamp();
        foreach (Thread t in threads)
        {
            t.Join();
        }

        return senders * (double)calls / Stopwatch.GetElapsedTime(begin).TotalSeconds;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Check(CallStatus status)
    {
        if (status != CallStatus.Answered)
        {
            NotAnswered(status);
        }
    }

    private static void NotAnswered(CallStatus status) => throw new InvalidOperationException($"The benchmark's call ended with {status}.");
}
