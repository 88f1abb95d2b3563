using System.Runtime.InteropServices;

namespace Rpal.Machine.Blocks;

/// <summary>Life of a service in the directory.</summary>
internal enum ServiceState : uint
{
    /// <summary>Entry not in use.</summary>
    Free = 0,

    /// <summary>Registered, but lets no call in: its methods are being added, or its owner disabled it. Calls wait.</summary>
    Disabled = 1,

    /// <summary>Can be called.</summary>
    Enabled = 2,

    /// <summary>Closed, or its process is gone. Becomes Free once no receiver can be in use any more.</summary>
    Gone = 3,
}

/// <summary>One service in the family's directory. Written by the host, the receiver list by the owner before it enables.</summary>
/// <remarks><code>
///  0 state u32   4 receiver count u32   8 key u64   16 member i32   20 name length u32   24 registration u64 (never the same twice; its low byte is the member)
/// 32 waiters u32 (1: some sender may wait; it says so, and whoever frees a receiver takes it back)   36 ready sequence u32 (futex: bumped by whoever frees a receiver while senders wait)
/// 64 name u8[96], UTF-8   160 zero   256 receivers u64[64]
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct ServiceEntry
{
    public const int SizeBytes = 1024;
    public const int RegistrationOffset = 24, WaitersOffset = 32, ReadySequenceOffset = 36, NameCapacityBytes = 96;

    [FieldOffset(0)] public ServiceState State;
    [FieldOffset(4)] public int ReceiverCount;
    [FieldOffset(8)] public ulong Key;
    [FieldOffset(16)] public int Member;
    [FieldOffset(20)] public int NameLengthBytes;
    [FieldOffset(RegistrationOffset)] public ulong Registration;
    [FieldOffset(WaitersOffset)] public uint Waiters;
    [FieldOffset(ReadySequenceOffset)] public uint ReadySequence;
    [FieldOffset(64)] public fixed byte Name[NameCapacityBytes];
    [FieldOffset(256)] public fixed long Receivers[FamilyLayout.ReceiversPerService];
}
