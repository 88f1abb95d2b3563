namespace Rpal.Linux;

/// <summary>ptrace(2): PTRACE_*.</summary>
internal static class PtraceRequest
{
    public const int Cont = 7;
    public const int Detach = 17;
    public const int GetRegset = 0x4204;
    public const int Seize = 0x4206;
    public const int Listen = 0x4208;
}
