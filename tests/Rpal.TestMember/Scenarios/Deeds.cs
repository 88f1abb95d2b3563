using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Rpal.TestMember.Scenarios;

/// <summary>What <see cref="Methods.Do"/> can be told to do.</summary>
internal enum Deed
{
    Nothing, CatchNullReference, Throw, ThrowHuge, ThrowSurrogates, ThrowZeroes, ThrowingMessage, DivideByZero, Recurse, FailFast, Exit,
    File, Socket, StartProcess, Lock, TaskWait, Sleep, Timer, StartThread, WriteLine, Collect, BigFrame, AsyncLocals, ThreadStatics,
    Compute, SleepForever, ComputeForever, Yield, Advise, FileExists, HoldUntilTold, AllocatedBytes, Collections, Allocate, CollectWhileComputing,
    ReadBlocked, LazySwitches, InPlace, ChildStatus, SignalsSeen, LockedCollect, CollectYoung, ComputeAnnounced, SleepAnnounced,
    Offer, OfferCutFile, OfferFlickering, ConnectBack, CopyBack, FaultBack, CopyBackAtHome,
    StateRegister, StateEnable, StateDisable, StateClose, StateFlicker,
    SleepAtHome, ReceivedTicks, KernelPid,
    SeeTraces, LeaveTraces, LeaveTracesAndThrow, LeaveTracesAtHome, ForgetTheCaller, TakeGs, PrepareGs, WriteGs, ProcessTime, Protect, IsExecutable, SetIds, Exec, ExecOnAThread, FailExec, AnswerThroughGate, HoldAtHome, Held, LetGo,
}

/// <summary>What a callee does when it is told to.</summary>
internal static class Deeds
{
    private static readonly AsyncLocal<int> s_asyncLocal = new();

    [ThreadStatic]
    private static long t_static;

    public static long Do(Deed deed, long n, ref long answer)
    {
        switch (deed)
        {
            case Deed.Nothing: return n;
            case Deed.KernelPid: return Rpal.Linux.Sys.GetPid();     // whose system calls these are; Environment.ProcessId is what the runtime remembers
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
            case Deed.File: return KernelDeeds.UseFile();
            case Deed.Socket: return KernelDeeds.UseSocket();
            case Deed.StartProcess: return KernelDeeds.StartProcess();
            case Deed.Lock: return KernelDeeds.Contend((int)n);
            case Deed.TaskWait: return KernelDeeds.WaitForTask(n);
            case Deed.Sleep: Thread.Sleep((int)n); return n;         // sleeping in the kernel is what these three are about
            case Deed.Timer: return KernelDeeds.UseTimer();
            case Deed.SleepAtHome: Check.That(Directory.Exists("/")); Thread.Sleep((int)n); return n;
            case Deed.ReceivedTicks: return StandardService.Registered!.ReceivedTime.Ticks;
            case Deed.StartThread: return KernelDeeds.StartThread();
            case Deed.WriteLine: Console.WriteLine($"written by {Rpal.Linux.Sys.GetPid()}"); Console.Error.WriteLine("complained"); return 1;
            case Deed.Collect: return CollectorDeeds.Collect();
            case Deed.BigFrame: return BigFrame((int)n);
            case Deed.AsyncLocals: s_asyncLocal.Value += (int)n; return s_asyncLocal.Value;
            case Deed.ThreadStatics: return t_static += n;
            case Deed.Compute: return Compute(TimeSpan.FromMilliseconds(n));
            case Deed.SleepForever: Announce(ref answer); Thread.Sleep(Timeout.Infinite); return 0;
            case Deed.ComputeForever: Announce(ref answer); return Compute(TimeSpan.MaxValue);
            case Deed.ComputeAnnounced: Announce(ref answer); return Compute(TimeSpan.FromMilliseconds(n));
            case Deed.SleepAnnounced: Announce(ref answer); Thread.Sleep((int)n); return 0;
            case Deed.ReadBlocked: return ReadBlocked(ref answer);
            case Deed.Yield: return KernelDeeds.YieldOften((int)n);
            case Deed.Advise: return KernelDeeds.Advise();
            case Deed.FileExists: return File.Exists("/") || Directory.Exists("/") ? 1 : 0;
            case Deed.HoldUntilTold: return HoldUntilTold(n);
            case Deed.AllocatedBytes: return GC.GetAllocatedBytesForCurrentThread();
            case Deed.Collections: return GC.CollectionCount(0);
            case Deed.Allocate: return CollectorDeeds.Allocate((int)n);
            case Deed.CollectWhileComputing: return CollectorDeeds.CollectWhileComputing(TimeSpan.FromMilliseconds(n));
            case Deed.LockedCollect: return CollectorDeeds.LockedCollect(TimeSpan.FromMilliseconds(n));
            case Deed.CollectYoung: GC.Collect(0); return 0;
            case Deed.LazySwitches: return StandardService.Registered!.LazySwitches;
            case Deed.InPlace: return StandardService.Registered!.SystemCallsInPlace;
            case Deed.ChildStatus: return Signals.ChildStatusIsClean() ? 1 : 0;
            case Deed.SignalsSeen: return Signals.Seen;
            case Deed.Offer: return Copies.Offer();
            case Deed.OfferCutFile: return Copies.OfferCutFile();
            case Deed.OfferFlickering: return Copies.OfferFlickering();
            case Deed.ConnectBack: return Copies.ConnectBack();
            case Deed.CopyBack: return Copies.CopyBack(n);
            case Deed.FaultBack: return Copies.FaultBack(n);
            case Deed.CopyBackAtHome: KernelDeeds.UseFile(); return Copies.CopyBack(n);
            case Deed.StateRegister: return States.Register();
            case Deed.StateEnable: return States.Enable();
            case Deed.StateDisable: return States.Disable();
            case Deed.StateClose: return States.Close();
            case Deed.StateFlicker: return States.Flicker(n);
            case Deed.SeeTraces: return (long)Isolation.See();
            case Deed.LeaveTraces: return Isolation.Leave((Traces)n);
            case Deed.LeaveTracesAndThrow: Isolation.Leave((Traces)n); throw new InvalidOperationException("as told");
            case Deed.LeaveTracesAtHome: KernelDeeds.UseFile(); return Isolation.Leave((Traces)n);
            case Deed.Exec: return KernelDeeds.Exec("/bin/sleep");
            case Deed.ExecOnAThread: new Thread(static () => KernelDeeds.Exec("/bin/sleep")) { IsBackground = true }.Start(); Announce(ref answer); return Compute(TimeSpan.MaxValue);
            case Deed.FailExec: return KernelDeeds.Exec("/nothing/here");
            case Deed.SetIds: return KernelDeeds.SetIds();
            case Deed.TakeGs: return Isolation.TakeGs();
            case Deed.PrepareGs: return GsDeeds.Prepare();
            case Deed.WriteGs: return GsDeeds.Write((GsLoss)n);
            case Deed.ProcessTime: return Judged.ProcessTime();
            case Deed.Protect: return Judged.Protect();
            case Deed.IsExecutable: return Judged.IsExecutable();
            case Deed.ForgetTheCaller: return Isolation.ForgetTheCaller();
            case Deed.AnswerThroughGate: Proxies.AnswerThroughGate(n, ref answer); return answer;
            case Deed.HoldAtHome: return Proxies.HoldAtHome();
            case Deed.Held: return Proxies.Held;
            case Deed.LetGo: return Proxies.LetGo();
            default: throw new ArgumentOutOfRangeException(nameof(deed), deed, null);
        }
    }

    private static void Announce(ref long answer) => Volatile.Write(ref answer, 1);

    /// <param name="word">Address of the caller's word: 1 says that it is here, 2 lets it go.</param>
    private static unsafe long HoldUntilTold(long word)
    {
        Announce(ref *(long*)word);
        for (long begin = Stopwatch.GetTimestamp(); Volatile.Read(ref *(long*)word) != 2;)
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

    public static long Compute(TimeSpan time)
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

    private sealed class MessageThrowsException : Exception
    {
        public override string Message => throw new NotSupportedException("no message");
    }
}
