using System.Runtime.CompilerServices;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.MachineMember;

internal record struct Question(long Value, long Salt);

internal record struct Reply(long Value, int Pid);

/// <summary>A service with one method for each way through the machine code, and one whose handler looks at all registers.</summary>
internal static unsafe class Callee
{
    public const int Compute = 0, Lazy = 1, InPlace = 2, Nested = 3, Fault = 4, Allocate = 5, Busy = 6, Methods = 7;
    private const int Receivers = 3, BusyRounds = 20_000;

    private static RpalConnection? s_next;

    public static void Run(string name, string? next, string[] options)
    {
        if (next is not null)
        {
            s_next = RpalConnection.ConnectAsync(next).Result;
        }

        RpalService service = RpalService.Register(name, new ServiceOptions { Receivers = Receivers });
        service.Handle(Compute, static (in Question q, ref Reply a) => a = new(Mix(q), 0));
        service.Handle(Lazy, static (in Question q, ref Reply a) => a = new(Mix(q), Sys.GetPid()));
        service.Handle(InPlace, static (in Question q, ref Reply a) =>
        {
            uint word = 0;
            int woken = Sys.FutexWake(&word, 1), mismatched = Sys.FutexWait(&word, 1, -1);
            a = new(Mix(q), woken == 0 && mismatched == -(int)Errno.EAGAIN ? 0 : -1);
        });
        service.Handle(Nested, static (in Question q, ref Reply a) =>
        {
            Question inner = new(q.Value + 1, q.Salt);
            Reply reply = default;
            CallStatus status = s_next!.Call((int)(q.Salt & 3) % Nested, in inner, ref reply, Caller.Patience);
            a = new(reply.Value, status == CallStatus.Answered ? 0 : -1);
        });
        service.Handle(Fault, static (in Question q, ref Reply a) =>
        {
            WidenSignalStack();
            try
            {
                Throw(null!);
            }
            catch (NullReferenceException)
            {
                a = new(Mix(q), 0);
            }
        });
        service.Handle(Allocate, static (in Question q, ref Reply a) =>
        {
            long[] copy = [q.Value, q.Salt];
            a = new(Mix(new(copy[0], copy[1])), 0);
        });
        service.Handle(Busy, static (in Question q, ref Reply a) =>
        {
            long x = q.Value;
            for (int i = 0; i < BusyRounds; i++)
            {
                x = x * 3 + i;
            }

            a = new(Mix(q) + (x == 0 ? 1 : 0), 0);
        });
        Storm.InstallHandler();
        service.Enable();
        RpalService registers = RpalService.Register(name + ".registers", new ServiceOptions { Receivers = 1 });
        registers.Enable(Routines.RegisterHandler());
        if (options.Contains("storm"))
        {
            Storm.Start(Environment.ProcessId);
        }

        while (!Program.Stopped)
        {
            uint seen = Volatile.Read(ref Program.At->Stop);
            _ = seen == 2 ? 0 : Sys.FutexWait(&Program.At->Stop, seen, 100_000_000);
        }
    }

    private const int SignalStackBytes = 64 * 1024, ProtReadWrite = 3, MapPrivateAnonymous = 0x22;

    [ThreadStatic]
    private static bool t_hasWideSignalStack;

    /// <summary>
    /// CoreCLR's alternate stack is 16 KiB with its guard page; its SIGSEGV handler takes up to 9.6 KiB of it before it leaves it, and blocks only
    /// the activation signal. Another signal's frame (3 KiB with AVX-512) may then not fit, and the kernel kills the process: shown in a plain
    /// .NET process as well. With a larger stack neither dies.
    /// </summary>
    private static void WidenSignalStack()
    {
        if (t_hasWideSignalStack)
        {
            return;
        }

        nint memory = Sys.Invoke(SyscallNumber.Mmap, 0, SignalStackBytes, ProtReadWrite, MapPrivateAnonymous, -1, 0);
        StackT stack = new() { Pointer = memory, SizeInBytes = SignalStackBytes };
        int r = memory < 0 ? (int)memory : Sys.Sigaltstack(&stack, null);
        if (r < 0)
        {
            Program.Fail($"alternate stack: {r}");
        }

        t_hasWideSignalStack = true;
    }

    public static long Mix(Question q) => unchecked((q.Value ^ q.Salt << 7) * 6364136223846793005L + 1442695040888963407L);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Throw(string text) => text.Length;
}
