namespace Rpal.Linux;

/// <summary>ptrace(2): PTRACE_O_*.</summary>
internal static class PtraceOptions
{
    public const int TraceClone = 8;
    public const int TraceExit = 0x40;
}
