namespace Rpal.Linux;

/// <summary>What signals are called. Source: signal(7), x86-64; the real-time signals as glibc counts them.</summary>
internal static class SignalName
{
    private const int FirstRealTime = 34, LastRealTime = 64;

    /// <summary>By number from 1.</summary>
    private static readonly string[] s_names =
    [
        "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1", "SIGSEGV", "SIGUSR2",
        "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG",
        "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR", "SIGSYS",
    ];

    /// <summary>"SIGTERM", "SIGRTMIN+1"; "signal 99" for what is none.</summary>
    public static string Of(int signal) =>
        signal >= 1 && signal <= s_names.Length ? s_names[signal - 1]
        : signal == FirstRealTime ? "SIGRTMIN"
        : signal is > FirstRealTime and <= LastRealTime ? $"SIGRTMIN+{signal - FirstRealTime}"
        : $"signal {signal}";

    /// <summary>The number of "SIGTERM", "term" or "15", or null.</summary>
    public static int? NumberOf(string text)
    {
        if (int.TryParse(text, out int number))
        {
            return number is >= 1 and <= LastRealTime ? number : null;
        }

        string name = text.StartsWith("SIG", StringComparison.OrdinalIgnoreCase) ? text : "SIG" + text;
        int index = Array.FindIndex(s_names, s => s.Equals(name, StringComparison.OrdinalIgnoreCase));
        return index < 0 ? null : index + 1;
    }
}
