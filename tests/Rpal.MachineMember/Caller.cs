using System.Diagnostics;
using System.Runtime.InteropServices;
using Rpal.Internal;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.MachineMember;

/// <summary>Calls everything the callees have and checks every answer. Modes: calls, registers, all.</summary>
internal static unsafe class Caller
{
    public static readonly Deadline Patience = Deadline.After(20_000);
    private const int Threads = 2, SettleMs = 10_000, CallsPerThread = 2_000;

    /// <summary>MXCSR and x87 control: the runtime leaves them at their defaults when it makes an exception of a fault, in any process.</summary>
    private const uint RuntimeResets = 1 << 17 | 1 << 18;

    /// <summary>More than all calls of a thread may take that is about to end. The host of a soak waits less.</summary>
    private static readonly TimeSpan s_endLimit = TimeSpan.FromMinutes(2);

    private static RpalConnection s_a = null!, s_registers = null!;
    private static int s_calleePid;

    public static void Run(string mode, double seconds, int seed, string[] options)
    {
        s_a = RpalConnection.ConnectAsync("a").Result;
        s_registers = RpalConnection.ConnectAsync("a.registers").Result;
        s_calleePid = ((ReceiverBlock*)s_registers.FirstReceiver)->Home->Pid;
        if (options.Contains("storm"))
        {
            Storm.Start(seed);
        }

        long until = Stopwatch.GetTimestamp() + (long)(seconds * Stopwatch.Frequency);
        Thread[] threads = [.. Enumerable.Range(0, Threads).Select(i => new Thread(() =>
        {
            Program.At->Callers[i] = (nint)ThreadArmory.Current;
            Guard(() => Work(mode, new Random(seed + i), until, i));
            Settle();
        }) { Name = $"caller {i}" })];
        foreach (Thread t in threads)
        {
            t.Start();
        }

        foreach (Thread t in threads)
        {
            Program.Join(t, TimeSpan.FromSeconds(seconds) + s_endLimit);
        }
    }

    private static int s_working = Threads;

    /// <summary>The last to finish ends the storm; all stay until what is queued for them has been handled.</summary>
    private static void Settle()
    {
        if (Interlocked.Decrement(ref s_working) == 0)
        {
            Program.StopStorms();
        }

        long until = Environment.TickCount64 + SettleMs;
        while ((Volatile.Read(ref s_working) > 0 || !Storm.IsOver) && Environment.TickCount64 < until)
        {
            Thread.Yield();
        }

        Program.Stop();
    }

    private static void Guard(Action work)
    {
        try
        {
            work();
        }
        catch (Exception e)
        {
            Program.Fail(e.ToString());
        }
    }

    /// <summary>
    /// Short-lived threads, too: each is created by an armed thread and inherits its GS. The last of a line of three inherits that of one
    /// that has ended, and mostly
    /// gets its stack, so its FS.
    /// </summary>
    private static void Work(string mode, Random random, long until, int index)
    {
        while (Stopwatch.GetTimestamp() < until && Volatile.Read(ref Program.At->Wrong) == 0)
        {
            if (mode is "calls" or "all")
            {
                Calls(random, CallsPerThread, until);
                Thread? heir = null;
                var child = new Thread(() => Guard(() =>
                {
                    Calls(random, CallsPerThread / 20, until);
                    int creator = Sys.GetTid();
                    heir = new Thread(() => Guard(() => AfterEndOf(creator, () => Calls(random, CallsPerThread / 20, until))));
                    heir.Start();
                }));
                child.Start();
                Program.Join(child, s_endLimit);
                Program.Join(heir, s_endLimit);
                OthersThreads.Run(() => Guard(() => Calls(random, CallsPerThread / 20, until)));
            }

            if (mode is "registers" or "all" && index == 0)
            {
                Registers(random);
            }
        }
    }

    private static void AfterEndOf(int tid, Action work)
    {
        while (Sys.Tgkill(Sys.GetPid(), tid, 0) == 0)            // its managed thread ends before
        {
            Thread.Yield();
        }

        var last = new Thread(() => Guard(work));
        last.Start();
        Program.Join(last, s_endLimit);
    }

    private static void Calls(Random random, int count, long until)
    {
        for (int i = 0; i < count && Stopwatch.GetTimestamp() < until; i++)
        {
            int kind = random.Next(100) switch { < 50 => Callee.Compute, < 70 => Callee.Nested, < 80 => Callee.InPlace, < 85 => Callee.Lazy, < 90 => Callee.Busy, < 91 => Callee.Fault, _ => Callee.Allocate };
            Question q = new(random.NextInt64(), random.NextInt64());
            Reply a = default;
            CallStatus status = s_a.Call(kind, in q, ref a, Patience);
            long expected = Callee.Mix(kind == Callee.Nested ? new(q.Value + 1, q.Salt) : q);
            if (status != CallStatus.Answered || a.Value != expected || a.Pid != (kind == Callee.Lazy ? s_calleePid : 0))
            {
                Program.Fail($"method {kind}: {status}, {a}, expected {expected} of process {s_calleePid}");
                return;
            }

            Interlocked.Increment(ref Count(kind));
        }
    }

    private static ref ulong Count(int kind)
    {
        switch (kind)
        {
            case Callee.Lazy:
                return ref Program.At->Lazy;
            case Callee.InPlace:
                return ref Program.At->InPlace;
            case Callee.Nested:
                return ref Program.At->Nested;
            case Callee.Fault:
                return ref Program.At->Faults;
            default:
                return ref Program.At->Right;
        }
    }

    private static readonly nint s_checkedCall = Routines.CheckedCall();

    /// <summary>One call that looks at all registers of the handler in each of its ways, and at the caller's around managed methods.</summary>
    private static void Registers(Random random)
    {
        byte* before = (byte*)NativeMemory.AlignedAlloc(Routines.ImageBytes, 64), after = (byte*)NativeMemory.AlignedAlloc(Routines.ImageBytes, 64);
        for (int way = Routines.Nothing; way <= Routines.UntilEvicted; way++)
        {
            random.NextBytes(new Span<byte>(before, Routines.ImageBytes));
            new Span<byte>(after, Routines.ImageBytes).Clear();
            ReceiverBlock* receiver = s_registers.FirstReceiver;
            ulong lazy = receiver->LazySwitches;
            CallFrame frame = new() { Method = way, Request = before, Answer = after, Registration = s_registers.Registration };
            using var evictor = way == Routines.UntilEvicted ? new Evictor(receiver) : null;
            Check(way, Checked(receiver, &frame));
            if (way == Routines.UntilEvicted && receiver->LazySwitches != lazy)
            {
                Interlocked.Increment(ref Program.At->EvictionsSeen);
            }

            Compare(way, before, after);
        }

        foreach (int method in (ReadOnlySpan<int>)[Callee.Compute, Callee.Lazy, Callee.InPlace, Callee.Fault, Callee.Nested])
        {
            Question q = new(random.NextInt64(), random.NextInt64());
            Reply a = default;
            CallFrame frame = new()
            {
                Method = method,
                Request = (byte*)&q,
                RequestLengthBytes = sizeof(Question),
                Answer = (byte*)&a,
                AnswerCapacityBytes = sizeof(Reply),
                Registration = s_a.Registration,
            };
            uint result = Checked(s_a.FirstReceiver, &frame);
            Check(100 + method, method == Callee.Fault ? result & ~RuntimeResets : result);
        }

        NativeMemory.AlignedFree(before);
        NativeMemory.AlignedFree(after);
    }

    /// <summary>Calls until the receiver was ready.</summary>
    private static uint Checked(ReceiverBlock* receiver, CallFrame* frame)
    {
        var call = (delegate* unmanaged<ThreadBlock*, ReceiverBlock*, CallFrame*, nint, uint>)s_checkedCall;
        long until = Environment.TickCount64 + SettleMs;
        uint result;
        do
        {
            result = call(ThreadArmory.Current, receiver, frame, FamilyHeader.At->Address(Routine.Call));
        }
        while ((result & CallResult.NotReady) != 0 && result >> 16 == 0 && Environment.TickCount64 < until);
        return result;
    }

    private static void Check(int way, uint result)
    {
        Interlocked.Increment(ref Program.At->RegisterChecks);
        if (result != CallResult.Answered)
        {
            Interlocked.Increment(ref Program.At->RegistersChanged);
            Program.Fail($"way {way}: the caller's registers: result 0x{result:x}");
        }
    }

    private static void Compare(int way, byte* before, byte* after)
    {
        int vectorBytes = Routines.HasAvx512 ? 64 : 32, vectors = Routines.HasAvx512 ? 32 : 16;
        for (int i = 0; i < vectors; i++)
        {
            Same(way, $"vector {i}", before + i * 64, after + i * 64, vectorBytes);
        }

        Same(way, "masks", before + Routines.MasksOffset, after + Routines.MasksOffset, Routines.HasAvx512 ? 64 : 0);
        Same(way, "general", before + Routines.GeneralOffset, after + Routines.GeneralOffset, Routines.GeneralCount * 8);
        if ((*(uint*)(after + Routines.MxcsrOffset) & ~0x3Fu) != 0x7F80 || *(ushort*)(after + Routines.X87Offset) != 0x0F7F)
        {
            Program.Fail($"way {way}: MXCSR {*(uint*)(after + Routines.MxcsrOffset):x}, x87 {*(ushort*)(after + Routines.X87Offset):x} in the handler");
        }
    }

    private static void Same(int way, string what, byte* before, byte* after, int bytes)
    {
        if (!new Span<byte>(before, bytes).SequenceEqual(new Span<byte>(after, bytes)))
        {
            Interlocked.Increment(ref Program.At->RegistersChanged);
            Program.Fail($"way {way}: {what} was {Convert.ToHexString(new Span<byte>(before, bytes))}, is {Convert.ToHexString(new Span<byte>(after, bytes))}");
        }
    }

    /// <summary>Signals the receiver's own, parked thread until its context came home.</summary>
    private sealed class Evictor : IDisposable
    {
        private readonly Thread _thread;
        private volatile bool _done;

        public Evictor(ReceiverBlock* receiver)
        {
            ulong lazy = receiver->LazySwitches;
            _thread = new Thread(() =>
            {
                while (!_done && Volatile.Read(ref receiver->LazySwitches) == lazy)
                {
                    if (receiver->State == ReceiverState.Foreign)
                    {
                        _ = Sys.Tgkill(receiver->Home->Pid, receiver->Home->Tid, 34);
                    }

                    Thread.SpinWait(2000);
                }
            });
            _thread.Start();
        }

        public void Dispose()
        {
            _done = true;
            Program.Join(_thread, s_endLimit);
        }
    }
}
