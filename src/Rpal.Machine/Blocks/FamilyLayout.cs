namespace Rpal.Machine.Blocks;

/// <summary>Where everything lies in a family's address space. The host lays it out, every member reads it.</summary>
/// <remarks><code>
/// 0x0F80_0000_0000  family header, service directory, machine code      (shared by all)
/// 0x0F81_0000_0000  member areas, one each 128 MiB: member block, thread blocks, receivers, parking stacks
/// 0x0F84_0000_0000  accounts, 32 MiB a member: who donated how much time to whom
/// 0x1000_0000_0000  slot 0 of 512 GiB
/// 0x1080_0000_0000  slot 1 ...
/// 0x2400_0000_0000  end of the last slot, below TASK_SIZE / 3 where the legacy mmap layout begins
/// </code></remarks>
internal static class FamilyLayout
{
    /// <summary>First byte of the family region.</summary>
    public const long FamilyBase = 0x0F80_0000_0000;

    /// <summary>"RPALFAM" and a zero, little endian: the first word of the family header.</summary>
    public const ulong Magic = 0x004D_4146_4C41_5052;

    /// <summary>Version of every layout in this folder. A member built with another version is refused.</summary>
    public const uint AbiVersion = 4;

    /// <summary>Type of the auxiliary vector entry that holds the address of the member's own block ("RPAL").</summary>
    /// <remarks>The vector belongs to the program image, so a child that a member starts does not inherit it.</remarks>
    public const ulong AuxiliaryVectorType = 0x4C41_5052;

    /// <summary>Most members a family can have.</summary>
    public const int MemberCapacity = 40;

    /// <summary>Most services a family can have.</summary>
    public const int ServiceCapacity = 256;

    /// <summary>Bytes of the header with the directory.</summary>
    public const long HeaderRegionBytes = 0x8_0000;

    /// <summary>Where the service directory begins, from the family base.</summary>
    public const long DirectoryOffset = 0x1_0000;

    /// <summary>Where the machine code begins. All of it, and nothing else, may make system calls while foreign.</summary>
    public const long CodeBase = FamilyBase + 0x10_0000;

    /// <summary>Bytes set aside for the machine code.</summary>
    public const long CodeBytes = 0x1_0000;

    /// <summary>The first member area.</summary>
    public const long MemberAreaBase = FamilyBase + 0x1_0000_0000;

    /// <summary>Bytes of one member area.</summary>
    public const long MemberAreaBytes = 0x800_0000;

    /// <summary>Thread blocks of a member: as many threads of it can call at the same time.</summary>
    public const int ThreadCapacity = 4096;

    /// <summary>Receivers of a member, over all its services.</summary>
    public const int ReceiverCapacity = 256;

    /// <summary>Receivers of one service.</summary>
    public const int ReceiversPerService = 64;

    public const long ThreadBlocksOffset = 0x40_0000;
    public const long ReceiversOffset = 0x1_0000;
    public const long ErrorTextsOffset = 0x100_0000;
    public const long ParkingOffset = 0x400_0000;

    /// <summary>Bytes for the text of one exception that travels back to a sender.</summary>
    public const int ErrorTextBytes = 8192;

    /// <summary>
    /// One parking region: a guard page, the parking stack, the resume frame at the top. The frame lies above, because while it
    /// is resumed the stack pointer is its address, and a signal then pushes below.
    /// </summary>
    public const int ParkingBytes = 0x2_0000;
    public const int ParkingGuardBytes = 0x1000;

    /// <summary>Room for a signal frame: AT_MINSIGSTKSZ with AMX is about 11 KiB.</summary>
    public const int ParkingFrameBytes = 0x8000;

    /// <summary>The accounts: a <see cref="ThreadAccount"/> per member and thread. Not in the member areas, which are cleared for the next process.</summary>
    public const long AccountBase = FamilyBase + 0x4_0000_0000;
    public const long MemberAccountBytes = (long)ThreadCapacity * ThreadAccount.SizeBytes;

    /// <summary>The first slot.</summary>
    public const long SlotBase = 0x1000_0000_0000;

    /// <summary>Bytes of one slot.</summary>
    public const long SlotBytes = 0x80_0000_0000;

    public static long MemberArea(int index) => MemberAreaBase + index * MemberAreaBytes;

    public static long Slot(int index) => SlotBase + index * SlotBytes;

    public static long SlotEnd => Slot(MemberCapacity);
}
