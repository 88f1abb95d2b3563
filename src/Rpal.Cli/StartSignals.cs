using Rpal.Linux;

namespace Rpal.Cli;

/// <summary>What this program inherited of signals from whoever started it, made good where it could not work with it.</summary>
/// <remarks>What else is ignored stays so, as nohup(1) wants it. Members inherit nothing of it: see MemberTask.</remarks>
internal static unsafe class StartSignals
{
    private const nint Ignore = 1;

    /// <summary>Before anything else, on the first thread, which stays.</summary>
    public static void MakeUsable()
    {
        OpenThread();
        LearnOfChildren();
    }

    /// <summary>A signal that is blocked in all threads waits for ever: SIGTERM would not stop rpal. One open thread is enough for signals
    /// to the process.</summary>
    private static void OpenThread()
    {
        ulong none = 0;
        _ = Sys.RtSigprocmask(SignalMaskHow.SetMask, &none, null);     // fails for no valid argument
    }

    /// <summary>Where SIGCHLD is ignored the kernel reaps children itself, and the runtime never learns that a process has ended.</summary>
    private static void LearnOfChildren()
    {
        KernelSigaction action = default;
        if (Sys.RtSigaction(Signal.SIGCHLD, null, &action) == 0 && action.Handler == Ignore)
        {
            action = default;
            _ = Sys.RtSigaction(Signal.SIGCHLD, &action, null);
        }
    }
}
