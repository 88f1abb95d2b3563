using System.Runtime.InteropServices;

namespace Rpal.Machine.Blocks;

/// <summary>What the new task does in place of execve: a list of system calls, then a jump to the interpreter.</summary>
/// <remarks>Written by the host, results by the task. It has no thread-local storage of its own yet, so it runs nothing else.
/// <code>0 temporary stack u64   8 steps u64   16 step count i64   24 entry u64   32 initial rsp u64   40 word u32 (futex)   44 failed step i32   48 saved mask u64</code>
/// </remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct SpawnBlock
{
    public const int SizeBytes = 64;
    public const int StackOffset = 0, StepsOffset = 8, StepCountOffset = 16, EntryOffset = 24, InitialRspOffset = 32, WordOffset = 40, FailedStepOffset = 44, MaskOffset = 48;

    /// <summary>Values of <see cref="Word"/>.</summary>
    public const uint Running = 0, Started = 1, Failed = 2;

    [FieldOffset(StackOffset)] public nint Stack;
    [FieldOffset(StepsOffset)] public SystemCallStep* Steps;
    [FieldOffset(StepCountOffset)] public long StepCount;
    [FieldOffset(EntryOffset)] public nint Entry;
    [FieldOffset(InitialRspOffset)] public nint InitialRsp;
    [FieldOffset(WordOffset)] public uint Word;
    [FieldOffset(FailedStepOffset)] public int FailedStep;
    [FieldOffset(MaskOffset)] public ulong SavedMask;
}
