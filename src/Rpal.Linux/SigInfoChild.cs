using System.Runtime.InteropServices;

namespace Rpal.Linux;

/// <summary>siginfo_t as waitid(2) fills it for a child.</summary>
/// <remarks>0 si_signo i32 | 4 si_errno i32 | 8 si_code i32, see SignalCode.Cld* | 16 si_pid i32 | 20 si_uid u32 | 24 si_status i32, exit code or signal | 28..127 unused</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct SigInfoChild
{
    public const int SizeBytes = 128;
    [FieldOffset(0)] public int SignalNumber;
    [FieldOffset(4)] public int ErrorNumber;
    [FieldOffset(8)] public int Code;
    [FieldOffset(16)] public int Pid;
    [FieldOffset(20)] public uint Uid;
    [FieldOffset(24)] public int Status;
}
