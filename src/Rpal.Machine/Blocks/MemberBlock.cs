using System.Runtime.InteropServices;

namespace Rpal.Machine.Blocks;

/// <summary>Life of a member, as others see it.</summary>
internal enum MemberState : uint
{
    /// <summary>No process.</summary>
    Free = 0,

    /// <summary>Its process runs.</summary>
    Running = 1,

    /// <summary>Its process is gone: whoever holds one of its contexts gives it up.</summary>
    Gone = 2,
}

/// <summary>One member: its process, its signal actions and the mailbox of its agent thread.</summary>
/// <remarks>Written by the host, the agent's reply by the agent. Read by the trampolines of every member.
/// <code>
///   0 magic u64   8 abi u32   12 index i32   16 pid i32   20 state u32   24 attached u32   28 agent ready u32 (futex)
///  32 agent word u32 (futex)   40 agent steps u64   48 agent step count i64 (what is left when one failed)
///  56 generation u64 (the how-manieth start of the family this is; set before the state says Running, never the same twice)
///  64 library u32 (1: a copy of the library in the process has attached it)   68 own filter u32 (1: a thread of it has a system call filter of its own)
///  72 agent mask u64 (signals that the agent does not take)
/// 128 actions u64[65]: per signal the address of the action that the program asked for, or 0 while it is not ours
/// 1024 action records, 16 per signal, 32 bytes each: handler, flags, restorer, mask
/// 40960 the agent's steps, 64 bytes each; 49152 and 53248 actions that they read and write. Here and not in the host's own
///       memory, because a stopped member's agent may come to them late.
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct MemberBlock
{
    public const int SizeBytes = 0x1_0000;
    public const int
        IndexOffset = 12, PidOffset = 16, StateOffset = 20, AgentReadyOffset = 28, AgentWordOffset = 32, AgentStepsOffset = 40, AgentStepCountOffset = 48, OwnFilterOffset = 68, AgentMaskOffset = 72,
        ActionsOffset = 128, ActionRecordsOffset = 1024, AgentStepMemory = 0xA000, AgentNewActions = 0xC000, AgentOldActions = 0xD000;

    /// <summary>Records of each signal, used in turn; signal s has those from (s - 1) * 16 on. The one that a signal has now is
    /// never written over, and a trampoline that read its address just before a change has finished long before fifteen more.</summary>
    public const int ActionRecordsPerSignal = 16;

    /// <summary>Values of <see cref="AgentWord"/>.</summary>
    public const uint AgentIdle = 0, AgentAsked = 1, AgentDone = 2;

    [FieldOffset(0)] public ulong Magic;
    [FieldOffset(8)] public uint AbiVersion;
    [FieldOffset(IndexOffset)] public int Index;
    [FieldOffset(PidOffset)] public int Pid;
    [FieldOffset(StateOffset)] public MemberState State;
    [FieldOffset(24)] public uint Attached;
    [FieldOffset(AgentReadyOffset)] public uint AgentReady;
    [FieldOffset(AgentWordOffset)] public uint AgentWord;
    [FieldOffset(AgentStepsOffset)] public SystemCallStep* AgentSteps;
    [FieldOffset(AgentStepCountOffset)] public long AgentStepCount;
    [FieldOffset(56)] public ulong Generation;
    [FieldOffset(64)] public uint Library;
    [FieldOffset(OwnFilterOffset)] public uint OwnFilter;
    [FieldOffset(AgentMaskOffset)] public ulong AgentMask;
    [FieldOffset(ActionsOffset)] public fixed long Actions[65];

    public static MemberBlock* At(int index) => (MemberBlock*)FamilyLayout.MemberArea(index);

    public static ThreadBlock* Thread(int member, int index) => (ThreadBlock*)(FamilyLayout.MemberArea(member) + FamilyLayout.ThreadBlocksOffset) + index;

    public static ReceiverBlock* Receiver(int member, int index) => (ReceiverBlock*)(FamilyLayout.MemberArea(member) + FamilyLayout.ReceiversOffset) + index;

    public static byte* ErrorText(int member, int index) => (byte*)(FamilyLayout.MemberArea(member) + FamilyLayout.ErrorTextsOffset + (long)index * FamilyLayout.ErrorTextBytes);

    /// <summary>The top of the parking region.</summary>
    public static nint FrameArea(int member, int index) => Parking(member, index) + FamilyLayout.ParkingBytes - FamilyLayout.ParkingFrameBytes;

    public static nint Parking(int member, int index) => (nint)(FamilyLayout.MemberArea(member) + FamilyLayout.ParkingOffset + (long)index * FamilyLayout.ParkingBytes);
}
