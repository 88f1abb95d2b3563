using Rpal.Hosting;

namespace Rpal.Cli.Output;

/// <summary>How a member ended, in words.</summary>
internal static class ExitText
{
    private const int FirstRealTime = 34, LastRealTime = 64;

    /// <summary>By number from 1. Source: signal(7), x86-64.</summary>
    private static readonly string[] s_signals =
    [
        "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1", "SIGSEGV", "SIGUSR2",
        "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG",
        "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR", "SIGSYS",
    ];

    /// <summary>"exit code 3", "killed by SIGKILL".</summary>
    public static string Describe(MemberExit exit) => exit.Signal == 0 ? $"exit code {exit.ExitCode}" : $"killed by {SignalName(exit.Signal)}";

    /// <summary>"SIGTERM", "SIGRTMIN+1"; the real-time signals as glibc counts them.</summary>
    public static string SignalName(int signal) =>
        signal >= 1 && signal <= s_signals.Length ? s_signals[signal - 1]
        : signal == FirstRealTime ? "SIGRTMIN"
        : signal is > FirstRealTime and <= LastRealTime ? $"SIGRTMIN+{signal - FirstRealTime}"
        : $"signal {signal}";

    /// <summary>The number of "SIGTERM", "term" or "15", or null.</summary>
    public static int? SignalNumber(string text)
    {
        if (int.TryParse(text, out int number))
        {
            return number is >= 1 and <= LastRealTime ? number : null;
        }

        string name = text.StartsWith("SIG", StringComparison.OrdinalIgnoreCase) ? text : "SIG" + text;
        int index = Array.FindIndex(s_signals, s => s.Equals(name, StringComparison.OrdinalIgnoreCase));
        return index < 0 ? null : index + 1;
    }

    /// <summary>"0.053 s", "12.3 s", "3 min 07 s", "2 h 05 min".</summary>
    public static string Describe(TimeSpan ran) => ran.TotalSeconds switch
    {
        < 10 => $"{ran.TotalSeconds:0.000} s",
        < 60 => $"{ran.TotalSeconds:0.0} s",
        < 3600 => $"{ran.Minutes} min {ran.Seconds:00} s",
        _ => $"{(int)ran.TotalHours} h {ran.Minutes:00} min",
    };
}
