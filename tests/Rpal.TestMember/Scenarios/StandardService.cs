using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Text;
using Rpal.Linux;

namespace Rpal.TestMember.Scenarios;

/// <summary>Methods of the standard service.</summary>
internal static class Methods
{
    public const int Echo = 1, Add = 2, Checksum = 3, Stop = 4, Do = 5, Where = 6, Forward = 7, Relay = 8;
}

/// <summary>What <see cref="Methods.Do"/> can be told to do.</summary>
internal enum Deed
{
    Nothing, Pid, CatchNullReference, Throw, ThrowHuge, ThrowSurrogates, ThrowZeroes, ThrowingMessage, DivideByZero, Recurse, FailFast, Exit,
    File, Socket, StartProcess, Lock, TaskWait, Sleep, Timer, StartThread, WriteLine, Collect, BigFrame, AsyncLocals, ThreadStatics,
    Compute, SleepForever, ComputeForever, Yield, Advise, FileExists, HoldUntilTold, AllocatedBytes, Collections, Allocate, CollectWhileComputing,
    ReadBlocked, LazySwitches, InPlace, ChildStatus, SignalsSeen, LockedCollect, CollectYoung, ComputeAnnounced, SleepAnnounced,
    Offer, OfferCutFile, OfferFlickering, ConnectBack, CopyBack, FaultBack, CopyBackAtHome,
    StateRegister, StateEnable, StateDisable, StateClose, StateFlicker,
    SleepAtHome, ReceivedTicks,
}

internal readonly record struct Order(Deed Deed, long Argument);

internal readonly record struct Numbers(long First, long Second);

[InlineArray(64)]
internal struct Payload
{
    private byte _first;
}

/// <summary>A service with everything that the scenarios ask of a callee.</summary>
internal static class StandardService
{
    private static readonly AsyncLocal<int> s_asyncLocal = new();
    private static readonly Lock s_lock = new();
    private static RpalService? s_service;

    [ThreadStatic]
    private static long t_static;

    public static void Add(Dictionary<string, Func<string[], int>> scenarios) => scenarios.Add("serve", args =>
    {
        Serve(args[0], int.Parse(args[1]));
        return 0;
    });

    /// <summary>Serves until <see cref="Methods.Stop"/>.</summary>
    public static void Serve(string name, int receivers)
    {
        using var stop = new ManualResetEventSlim();
        RpalService service = Register(name, receivers, stop.Set);
        service.Enable();
        stop.Wait();
        service.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }

    public static RpalService Register(string name, int receivers, Action stop)
    {
        RpalService service = s_service = RpalService.Register(name, new ServiceOptions { Receivers = receivers });
        service.Handle(Methods.Echo, static (q, ref a) => a.Write(q));
        service.Handle<Numbers, long>(Methods.Add, static (in q, ref a) => a = q.First + q.Second);
        service.Handle<Payload, ulong>(Methods.Checksum, static (in q, ref a) => a = Hash(q));
        service.Handle(Methods.Stop, (_, ref _) => stop());
        service.Handle<Order, long>(Methods.Do, static (in q, ref a) => a = Do(q.Deed, q.Argument, ref a));
        service.Handle(Methods.Where, Where);
        service.Handle<Order, long>(Methods.Forward, static (in q, ref a) => Nesting.Forward(in q, ref a));
        service.Handle<long, long>(Methods.Relay, static (in q, ref a) => a = Nesting.Relay(q));
        return service;
    }

    /// <summary>FNV-1a.</summary>
    public static ulong Hash(ReadOnlySpan<byte> bytes)
    {
        ulong hash = 14695981039346656037;
        foreach (byte b in bytes)
        {
            hash = (hash ^ b) * 1099511628211;
        }

        return hash;
    }

    private static unsafe void Where(ReadOnlySpan<byte> request, ref AnswerWriter answer)
    {
        fixed (byte* q = request)
        fixed (byte* a = answer.Rest)
        {
            long q1 = (long)q, a1 = (long)a;
            answer.Write(BitConverter.GetBytes(q1));
            answer.Write(BitConverter.GetBytes(a1));
        }
    }

    private static long Do(Deed deed, long n, ref long answer)
    {
        switch (deed)
        {
            case Deed.Nothing: return n;
            case Deed.Pid: return Environment.ProcessId;
            case Deed.CatchNullReference: return CatchNullReference();
            case Deed.Throw: throw new InvalidOperationException("as told");
            case Deed.ThrowHuge: throw new InvalidOperationException(new string('ä', 20_000));
            case Deed.ThrowSurrogates: throw new InvalidOperationException("a\uD800b\uDC00c");
            case Deed.ThrowZeroes: throw new InvalidOperationException("before\0after");
            case Deed.ThrowingMessage: throw new MessageThrowsException();
            case Deed.DivideByZero: return 1 / n;
            case Deed.Recurse: return Recurse(n);
            case Deed.FailFast: Environment.FailFast("as told"); return 0;
            case Deed.Exit: Environment.Exit((int)n); return 0;
            case Deed.File: return UseFile();
            case Deed.Socket: return UseSocket();
            case Deed.StartProcess: return StartProcess();
            case Deed.Lock: return Contend((int)n);
            case Deed.TaskWait: return WaitForTask(n);
            case Deed.Sleep: Thread.Sleep((int)n); return n;
            case Deed.Timer: return UseTimer();
            case Deed.SleepAtHome: Check.That(Directory.Exists("/")); Thread.Sleep((int)n); return n;
            case Deed.ReceivedTicks: return s_service!.ReceivedTime.Ticks;
            case Deed.StartThread: return StartThread();
            case Deed.WriteLine: Console.WriteLine($"written by {Environment.ProcessId}"); Console.Error.WriteLine("complained"); return 1;
            case Deed.Collect: return Collect();
            case Deed.BigFrame: return BigFrame((int)n);
            case Deed.AsyncLocals: s_asyncLocal.Value += (int)n; return s_asyncLocal.Value;
            case Deed.ThreadStatics: return t_static += n;
            case Deed.Compute: return Compute(TimeSpan.FromMilliseconds(n));
            case Deed.SleepForever: Announce(ref answer); Thread.Sleep(Timeout.Infinite); return 0;
            case Deed.ComputeForever: Announce(ref answer); return Compute(TimeSpan.MaxValue);
            case Deed.ComputeAnnounced: Announce(ref answer); return Compute(TimeSpan.FromMilliseconds(n));
            case Deed.SleepAnnounced: Announce(ref answer); Thread.Sleep((int)n); return 0;
            case Deed.ReadBlocked: return ReadBlocked(ref answer);
            case Deed.Yield: return YieldOften((int)n);
            case Deed.Advise: return Advise();
            case Deed.FileExists: return File.Exists("/") || Directory.Exists("/") ? 1 : 0;
            case Deed.HoldUntilTold: return HoldUntilTold(ref answer);
            case Deed.AllocatedBytes: return GC.GetAllocatedBytesForCurrentThread();
            case Deed.Collections: return GC.CollectionCount(0);
            case Deed.Allocate: return Allocate((int)n);
            case Deed.CollectWhileComputing: return CollectWhileComputing(TimeSpan.FromMilliseconds(n));
            case Deed.LockedCollect: return LockedCollect(TimeSpan.FromMilliseconds(n));
            case Deed.CollectYoung: GC.Collect(0); return 0;
            case Deed.LazySwitches: return s_service!.LazySwitches;
            case Deed.InPlace: return s_service!.SystemCallsInPlace;
            case Deed.ChildStatus: return Signals.ChildStatusIsClean() ? 1 : 0;
            case Deed.SignalsSeen: return Signals.Seen;
            case Deed.Offer: return Copies.Offer();
            case Deed.OfferCutFile: return Copies.OfferCutFile();
            case Deed.OfferFlickering: return Copies.OfferFlickering();
            case Deed.ConnectBack: return Copies.ConnectBack();
            case Deed.CopyBack: return Copies.CopyBack(n);
            case Deed.FaultBack: return Copies.FaultBack(n);
            case Deed.CopyBackAtHome: UseFile(); return Copies.CopyBack(n);
            case Deed.StateRegister: return States.Register();
            case Deed.StateEnable: return States.Enable();
            case Deed.StateDisable: return States.Disable();
            case Deed.StateClose: return States.Close();
            case Deed.StateFlicker: return States.Flicker(n);
            default: throw new ArgumentOutOfRangeException(nameof(deed), deed, null);
        }
    }

    private static void Announce(ref long answer) => Volatile.Write(ref answer, 1);

    private static long HoldUntilTold(ref long answer)
    {
        Announce(ref answer);
        for (long begin = Stopwatch.GetTimestamp(); Volatile.Read(ref answer) != 2;)
        {
            Check.That(Stopwatch.GetElapsedTime(begin) < Check.Patience, "nobody told");
        }

        return 3;
    }

    private static long ReadBlocked(ref long answer)
    {
        using var server = new System.IO.Pipes.AnonymousPipeServerStream(System.IO.Pipes.PipeDirection.In);
        Announce(ref answer);
        return server.ReadByte();
    }

    private static long CatchNullReference()
    {
        try
        {
            return ((string?)Nothing())!.Length;
        }
        catch (NullReferenceException)
        {
            return 42;
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static object? Nothing() => null;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static long Recurse(long n) => n == 0 ? 0 : 1 + Recurse(n - 1) + (n & 0);

    private static long Compute(TimeSpan time)
    {
        long sum = 0;
        for (long begin = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(begin) < time;)
        {
            for (int i = 0; i < 10_000; i++)
            {
                sum += i ^ sum << 1;
            }
        }

        return sum | 1;
    }

    private static long UseFile()
    {
        string path = Path.GetTempFileName();
        File.WriteAllText(path, $"{Environment.ProcessId}");
        long pid = long.Parse(File.ReadAllText(path));
        using (var stream = new FileStream(path, FileMode.Open))
        {
            string link = $"/proc/{pid}/fd/{stream.SafeFileHandle.DangerousGetHandle()}";
            Check.Equal(path, new FileInfo(link).ResolveLinkTarget(returnFinalTarget: false)!.FullName);
        }

        File.Delete(path);
        return pid;
    }

    private static long UseSocket()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var client = new TcpClient();
        client.Connect((IPEndPoint)listener.LocalEndpoint);
        using TcpClient server = listener.AcceptTcpClient();
        client.GetStream().Write("hello"u8);
        byte[] buffer = new byte[5];
        server.GetStream().ReadExactly(buffer);
        return Encoding.UTF8.GetString(buffer) == "hello" ? 1 : 0;
    }

    private static long StartProcess()
    {
        using var p = Process.Start(new ProcessStartInfo("sh", ["-c", "echo $PPID"]) { RedirectStandardOutput = true })!;
        long parent = long.Parse(p.StandardOutput.ReadToEnd());
        p.WaitForExit();
        return parent;
    }

    private static long Contend(int rounds)
    {
        long shared = 0;
        bool running = false, other = false;
        var thread = new Thread(() =>
        {
            Volatile.Write(ref running, true);
            for (int i = 0; i < rounds; i++)
            {
                lock (s_lock)
                {
                    shared++;
                    other = true;
                    Thread.Yield();
                }
            }
        });
        lock (s_lock)
        {
            // The two might never meet otherwise. What the other thread waits for, once it runs, is this lock.
            thread.Start();
            Check.Comes(() => Volatile.Read(ref running) && (thread.ThreadState & System.Threading.ThreadState.WaitSleepJoin) != 0);
        }

        for (int i = 0; i < rounds; i++)
        {
            lock (s_lock)
            {
                shared++;
                Thread.Yield();
            }
        }

        thread.Join();
        return other ? shared : -1;
    }

    private static long WaitForTask(long n) => Task.Run(() => Task.Run(() => n + 1).Result).Result;

    private static long UseTimer()
    {
        using var fired = new ManualResetEventSlim();
        using var timer = new Timer(_ => fired.Set(), null, 1, Timeout.Infinite);
        return fired.Wait(Check.Patience) ? 1 : 0;
    }

    private static long StartThread()
    {
        long value = 0;
        var thread = new Thread(() => value = Sys.GetTid());
        thread.Start();
        thread.Join();
        return value;
    }

    private static long Collect()
    {
        int before = GC.CollectionCount(2);
        byte[][] junk = [.. Enumerable.Range(0, 100).Select(i => new byte[i])];
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return junk.Length == 100 ? GC.CollectionCount(2) - before : 0;
    }

    private static long BigFrame(int bytes)
    {
        Span<byte> frame = stackalloc byte[bytes];
        frame.Fill(3);
        long sum = 0;
        foreach (byte b in frame)
        {
            sum += b;
        }

        return sum;
    }

    /// <summary>Makes garbage and something that must survive it.</summary>
    public static long Allocate(int objects)
    {
        var list = new List<object>();
        long sum = 0;
        for (int i = 0; i < objects; i++)
        {
            object o = new long[] { i, i, i };
            if (i % 8 == 0)
            {
                list.Add(o);
            }
        }

        foreach (object o in list)
        {
            sum += ((long[])o)[1];
        }

        return sum;
    }

    /// <summary>The handler computes without leaving user mode while another thread collects; both must end.</summary>
    private static long CollectWhileComputing(TimeSpan time)
    {
        long collections = 0;
        bool stop = false;
        var collector = new Thread(() =>
        {
            while (!Volatile.Read(ref stop))
            {
                GC.Collect();
                Interlocked.Increment(ref collections);
            }
        });
        collector.Start();
        Compute(time);
        long during = Volatile.Read(ref collections);
        Volatile.Write(ref stop, true);
        collector.Join();
        return during;
    }

    /// <summary>The handler computes without an end until another thread's collection is done.</summary>
    private static long LockedCollect(TimeSpan limit)
    {
        long done = 0, sum = 0, begin = Stopwatch.GetTimestamp();
        ThreadPool.UnsafeQueueUserWorkItem(_ =>
        {
            GC.Collect();
            Volatile.Write(ref done, 1);
        }, null);
        while (Volatile.Read(ref done) == 0)
        {
            sum += sum << 1 ^ 5;
            if (Stopwatch.GetElapsedTime(begin) > limit)
            {
                return -1;
            }
        }

        return 1;
    }

    private static long YieldOften(int n)
    {
        for (int i = 0; i < n; i++)
        {
            Thread.Yield();
        }

        return n;
    }

    private static unsafe long Advise()
    {
        byte* p = (byte*)System.Runtime.InteropServices.NativeMemory.AlignedAlloc(8192, 4096);
        p[0] = 7;
        int r = Sys.Madvise((nint)p, 4096, MemoryAdvice.DontNeed);
        long value = r == 0 ? p[0] : r;
        System.Runtime.InteropServices.NativeMemory.AlignedFree(p);
        return value;
    }

    private sealed class MessageThrowsException : Exception
    {
        public override string Message => throw new NotSupportedException("no message");
    }
}

/// <summary>Short forms for callers.</summary>
internal static class Calls
{
    public static readonly Deadline Soon = Deadline.After(Check.Patience);

    public static RpalConnection Connect(string name)
    {
        using var limit = new CancellationTokenSource(Check.Patience);
        return RpalConnection.ConnectAsync(name, limit.Token).GetAwaiter().GetResult();
    }

    public static long Do(this RpalConnection connection, Deed deed, long argument = 0)
    {
        long answer = 0;
        Check.Equal(CallStatus.Answered, connection.Call(Methods.Do, new Order(deed, argument), ref answer, Soon));
        return answer;
    }

    public static long Add(this RpalConnection connection, long first, long second)
    {
        long answer = 0;
        Check.Equal(CallStatus.Answered, connection.Call(Methods.Add, new Numbers(first, second), ref answer, Soon));
        return answer;
    }

    public static void Stop(this RpalConnection connection) => Check.Equal(CallStatus.Answered, connection.Call(Methods.Stop, [], [], out _, Soon));

    public static void CheckChecksum(this RpalConnection connection, int seed)
    {
        Payload payload = default;
        new Random(seed).NextBytes(payload);
        ulong answer = 0;
        Check.Equal(CallStatus.Answered, connection.Call(Methods.Checksum, in payload, ref answer, Soon));
        Check.Equal(StandardService.Hash(payload), answer);
    }

    /// <summary>Adds a scenario that calls the standard service "work" and stops it at its end.</summary>
    public static void AddCaller(this Dictionary<string, Func<string[], int>> scenarios, string name, Action<RpalConnection> body) => scenarios.Add(name, _ =>
    {
        RpalConnection work = Connect("work");
        body(work);
        work.Stop();
        return 0;
    });
}
