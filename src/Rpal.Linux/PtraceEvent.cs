namespace Rpal.Linux;

/// <summary>ptrace(2): PTRACE_EVENT_*, in bits 8 and up of a stop's status.</summary>
internal static class PtraceEvent
{
    public const int Exit = 6;
    public const int Stop = 128;
}
