using System.Runtime.InteropServices;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.MachineMember;

/// <summary>
/// Sends real-time signals at the family's lasting threads: callers, and receivers' own threads parked, at home or resuming.
/// Paced by the handlers, because real-time signals queue: without a bound a storm only starves.
/// </summary>
internal static unsafe class Storm
{
    /// <summary>A real-time signal that neither glibc nor the runtime uses.</summary>
    private const int OwnSignal = 45;
    private const int Activation = 34, SiQueue = -1, OutstandingLimit = 8, ActivationShare = 4, MemberCount = 3, PauseSpins = 4000;

    public static void InstallHandler()
    {
        KernelSigaction action = new()
        {
            Handler = Routines.CountingSignalHandler(Program.At),
            Flags = SignalActionFlags.SigInfo | SignalActionFlags.Restart | SignalActionFlags.Restorer,
            Restorer = FamilyHeader.At->Address(Routine.Restorer),
        };
        int r = Sys.RtSigaction(OwnSignal, &action, null);
        if (r < 0)
        {
            throw new InvalidOperationException($"rt_sigaction: {r}");
        }
    }

    public static void Start(int seed)
    {
        Interlocked.Increment(ref Program.At->Storms);
        new Thread(() =>
        {
            Run(seed);
            Interlocked.Decrement(ref Program.At->Storms);
        })
        { IsBackground = true, Name = "storm" }.Start();
    }

    /// <summary>Everything that was sent has been handled, and nothing more will be sent.</summary>
    public static bool IsOver => Volatile.Read(ref Program.At->Storms) == 0 && Volatile.Read(ref Program.At->Sent) == Volatile.Read(ref Program.At->Handled);

    private static void Run(int seed)
    {
        var random = new Random(seed);
        Arena* arena = Program.At;
        while (!Program.StormsStopped)
        {
            if (Volatile.Read(ref arena->Sent) - Volatile.Read(ref arena->Handled) > OutstandingLimit)
            {
                Thread.Yield();
                continue;
            }

            int member = random.Next(MemberCount);
            ThreadBlock* target = Pick(random, member);
            if (target is null)
            {
                continue;
            }

            if (random.Next(ActivationShare) == 0)
            {
                _ = Sys.Tgkill(target->Pid, target->Tid, Activation);
                Interlocked.Increment(ref arena->Activations);
            }
            else
            {
                Send(target);
            }

            Thread.SpinWait(random.Next(PauseSpins));
        }
    }

    private static ThreadBlock* Pick(Random random, int member)
    {
        const int receivers = 4;
        if (member == 0)
        {
            return (ThreadBlock*)Program.At->Callers[random.Next(Arena.CallerCapacity)];
        }

        ReceiverBlock* receiver = MemberBlock.Receiver(member, random.Next(receivers));
        return receiver->State == ReceiverState.Init ? null : receiver->Home;
    }

    private static void Send(ThreadBlock* target)
    {
        const int sigInfoBytes = 128, codeOffset = 8, pidOffset = 16, valueOffset = 24;
        Arena* arena = Program.At;
        ulong value = Interlocked.Increment(ref arena->Sent) - 1;
        byte* info = stackalloc byte[sigInfoBytes];
        new Span<byte>(info, sigInfoBytes).Clear();
        *(int*)info = OwnSignal;
        *(int*)(info + codeOffset) = SiQueue;
        *(int*)(info + pidOffset) = Environment.ProcessId;
        *(ulong*)(info + valueOffset) = value;
        if (Sys.Invoke(SyscallNumber.RtTgsigqueueinfo, target->Pid, target->Tid, OwnSignal, (nint)info) < 0)
        {
            Interlocked.Increment(ref arena->Values[value & (Arena.ValueCapacity - 1)]);        // as if handled: the books must balance
            Interlocked.Increment(ref arena->Refused);
            Interlocked.Increment(ref arena->Handled);
        }
    }
}
