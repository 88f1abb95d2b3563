using System.Diagnostics;
using Rpal.Linux;

namespace Rpal.Children;

/// <summary>
/// A start of a process whose signals are as after boot: all default, none blocked. A child gets what its parent ignores and blocks, and
/// a test host gets it from whoever started it: a script's background job ignores SIGINT and SIGQUIT, nohup SIGHUP.
/// </summary>
internal static unsafe class SignalStart
{
    private const int LastSignal = 64;
    private const nint Ignore = 1;
    private const byte Return = 0xC3;

    private static readonly Lock s_lock = new();
    private static nint s_emptyHandler;

    /// <summary>Starts it with the mask of this thread, which is <paramref name="blocked"/> for that moment: bit n-1 for signal
    /// n.</summary>
    public static Process Start(ProcessStartInfo start, ulong blocked = 0)
    {
        lock (s_lock)
        {
            HandleWhatIsIgnored();
        }

        ulong before;
        Check(Sys.RtSigprocmask(SignalMaskHow.SetMask, &blocked, &before), "rt_sigprocmask");
        try
        {
            return Process.Start(start) ?? throw new InvalidOperationException($"{start.FileName} was not started.");
        }
        finally
        {
            Check(Sys.RtSigprocmask(SignalMaskHow.SetMask, &before, null), "rt_sigprocmask");
        }
    }

    /// <summary>
    /// Gives this process an empty handler for each signal that it ignores: that changes nothing for it, and execve(2) makes a default of
    /// a handler, but leaves what is ignored.
    /// </summary>
    private static void HandleWhatIsIgnored()
    {
        KernelSigaction known;
        Check(Sys.RtSigaction(Signal.SIGSEGV, null, &known), "rt_sigaction");        // the runtime's: with a restorer
        s_emptyHandler = s_emptyHandler != 0 ? s_emptyHandler : WriteEmptyHandler();
        KernelSigaction empty = new()
        {
            Handler = s_emptyHandler,
            Flags = SignalActionFlags.Restorer | SignalActionFlags.Restart | SignalActionFlags.OnStack,
            Restorer = known.Restorer
        };
        for (int signal = 1; signal <= LastSignal; signal++)
        {
            KernelSigaction action;
            if (Sys.RtSigaction(signal, null, &action) == 0 && action.Handler == Ignore)
            {
                Check(Sys.RtSigaction(signal, &empty, null), "rt_sigaction");
            }
        }
    }

    private static nint WriteEmptyHandler()
    {
        nint handler = Sys.Mmap(0, (nuint)Environment.SystemPageSize, Prot.Read | Prot.Write, MapFlags.Private | MapFlags.Anonymous, -1, 0);
        Check(handler < 0 ? (int)handler : 0, "mmap");
        *(byte*)handler = Return;
        Check(Sys.Mprotect(handler, (nuint)Environment.SystemPageSize, Prot.Read | Prot.Exec), "mprotect");
        return handler;
    }

    private static void Check(int result, string call)
    {
        if (result < 0)
        {
            throw new InvalidOperationException($"{call}: {ErrnoText.Describe(result)}");
        }
    }
}
