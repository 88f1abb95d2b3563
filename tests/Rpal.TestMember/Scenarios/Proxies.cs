using System.Runtime.InteropServices;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.TestMember.Scenarios;

/// <summary>A process in the middle hands on by reference what it was lent, and dies before it is answered.</summary>
internal static unsafe class Proxies
{
    /// <summary>What the last process answers, and what the first uses the answer's memory for meanwhile.</summary>
    private const long Answer = 77, OtherUse = 0x5555;

    /// <summary>Of a <see cref="Gate"/>.</summary>
    private const long Inside = 1, MayGoOn = 2, Answered = 3;

    private const int MemberHeadBytes = 128;

    private static readonly ManualResetEventSlim s_goOn = new();
    private static int s_held;

    public static void Add(Dictionary<string, Func<string[], int>> scenarios)
    {
        scenarios.Add("answer-through-the-dead", args => AnswerThroughTheDead(args[0]));
        scenarios.Add("hand-on-and-wait", _ => HandOnAndWait());
        scenarios.Add("outlives-both", args => OutlivesBoth(args[0]));
    }

    /// <summary>Says through the gate when it is inside, waits for leave, writes the answer, says so.</summary>
    public static void AnswerThroughGate(long gate, ref long answer)
    {
        Volatile.Write(ref *(long*)gate, Inside);
        Check.Comes(() => Volatile.Read(ref *(long*)gate) == MayGoOn);
        answer = Answer;
        Volatile.Write(ref *(long*)gate, Answered);
    }

    /// <summary>Waits at home until it is let go, then writes the answer.</summary>
    public static long HoldAtHome()
    {
        Check.That(Directory.Exists("/"));
        Interlocked.Increment(ref s_held);
        Check.That(s_goOn.Wait(Check.Patience), "nobody lets it go");
        return Answer;
    }

    /// <summary>How many are held.</summary>
    public static long Held => Volatile.Read(ref s_held);

    /// <summary>Lets them go on.</summary>
    public static long LetGo()
    {
        s_goOn.Set();
        return 0;
    }

    /// <summary>b's call to work carries what this process lent to b. b is killed; this call ends; its memory is this process's
    /// again.</summary>
    private static int AnswerThroughTheDead(string kind)
    {
        RpalConnection b = Calls.Connect("b"), work = Calls.Connect("work");
        int pid = (int)b.Do(Deed.KernelPid);
        long* gate = (long*)NativeMemory.AllocZeroed(sizeof(long)), answer = (long*)NativeMemory.AllocZeroed(sizeof(long));
        CallStatus status = CallStatus.Busy;
        var caller = new Thread(() =>
        {
            var order = new Order(Deed.AnswerThroughGate, (long)gate);
            status = kind == "bytes"
                ? b.Call(Methods.ForwardBytes, MemoryMarshal.AsBytes(new ReadOnlySpan<Order>(in order)), new Span<byte>(answer, sizeof(long)), out _, Calls.Soon)
                : b.Call(Methods.Forward, order, ref *answer, Calls.Soon);
        });
        caller.Start();
        Check.Comes(() => Volatile.Read(ref *gate) == Inside);
        Check.Equal(0, Sys.Kill(pid, Signal.SIGKILL));
        Check.That(caller.Join(Check.Patience), "the caller was not told");
        Check.Equal(CallStatus.PeerDied, status);
        *answer = OtherUse;
        Volatile.Write(ref *gate, MayGoOn);
        Check.Comes(() => Volatile.Read(ref *gate) == Answered);
        Check.Equal(OtherUse, *answer);
        work.Stop();
        return 0;
    }

    /// <summary>Calls work through b until somebody kills both.</summary>
    private static int HandOnAndWait()
    {
        RpalConnection b = Calls.Connect("b");
        Console.WriteLine("handing on");
        long* answer = (long*)NativeMemory.AllocZeroed(sizeof(long));
        _ = b.Call(Methods.Forward, new Order(Deed.HoldAtHome, 0), ref *answer, Calls.Soon);
        throw new ScenarioFailedException("it was not killed");
    }

    /// <summary>Once the two are dead, and the first one's memory is given back, work answers: into memory of the second, which is still
    /// there.</summary>
    private static int OutlivesBoth(string file)
    {
        RpalConnection work = Calls.Connect("work");
        Check.Comes(() => work.Do(Deed.Held) == 1);
        int a = IndexOf("a"), b = IndexOf("b");
        Console.WriteLine("held");
        Check.Comes(() => File.Exists(file));
        Check.Comes(() => Volatile.Read(ref MemberBlock.At(a)->Generation) == 0);
        Check.That(Volatile.Read(ref MemberBlock.At(b)->Generation) != 0, "work still owes b an answer");
        work.Do(Deed.LetGo);
        Check.Comes(() => Volatile.Read(ref MemberBlock.At(b)->Generation) == 0);
        work.CheckChecksum(1);
        work.Stop();
        return 0;
    }

    /// <summary>The member's index, by the name that its process has.</summary>
    private static int IndexOf(string name)
    {
        byte* copy = stackalloc byte[MemberHeadBytes];
        for (int m = 0; m < FamilyLayout.MemberCapacity; m++)
        {
            // A copy by the kernel: where no member has been yet nobody may read.
            if (Sys.ProcessVmReadv(Sys.GetPid(), (nint)MemberBlock.At(m), copy, MemberHeadBytes) == MemberHeadBytes
                && ((MemberBlock*)copy)->State == MemberState.Running && File.ReadAllText($"/proc/{((MemberBlock*)copy)->Pid}/comm").Trim() == name)
            {
                return m;
            }
        }

        throw new ScenarioFailedException($"no member is named {name}");
    }
}
