namespace Rpal.Machine.Blocks;

/// <summary>Blocks by an address that a member wrote: null where no block of that kind lies. Only what this returns is followed.</summary>
/// <remarks>
/// Members write into each other's areas, and one whose memory was written over leaves any word there. A block that this
/// returns can be read and written: its area has a member, so it is mapped, and areas are never unmapped. What it says may
/// still be another member's by now, or zero: an area may be emptied at any instant.
/// </remarks>
internal static unsafe class BlockAddress
{
    public static ThreadBlock* Thread(nint address) =>
        IndexIn(address, FamilyLayout.ThreadBlocksOffset, ThreadBlock.SizeBytes, FamilyLayout.ThreadCapacity) >= 0
            ? (ThreadBlock*)address : null;

    /// <summary>Reads the word once.</summary>
    public static ThreadBlock* Thread(ThreadBlock** word) => Thread(Volatile.Read(ref *(nint*)word));

    public static ReceiverBlock* Receiver(nint address) =>
        IndexIn(address, FamilyLayout.ReceiversOffset, ReceiverBlock.SizeBytes, FamilyLayout.ReceiverCapacity) >= 0
            ? (ReceiverBlock*)address : null;

    /// <summary>Reads the word once.</summary>
    public static ReceiverBlock* Receiver(ReceiverBlock** word) => Receiver(Volatile.Read(ref *(nint*)word));

    /// <summary>An entry of the directory, whatever its state.</summary>
    public static ServiceEntry* Service(nint address)
    {
        long offset = address - (nint)FamilyHeader.Service(0);
        return offset >= 0 && offset < FamilyLayout.ServiceCapacity * ServiceEntry.SizeBytes && offset % ServiceEntry.SizeBytes == 0
            ? (ServiceEntry*)address : null;
    }

    /// <summary>The member in whose area a block lies. Its own words say the same, and can be written.</summary>
    public static int MemberOf(void* block) => (int)(((nint)block - FamilyLayout.MemberAreaBase) / FamilyLayout.MemberAreaBytes);

    /// <summary>What a claim by this sender writes as state word.</summary>
    public static uint ClaimWordOf(ThreadBlock* sender)
    {
        int member = MemberOf(sender);
        return ThreadBlock.ClaimWordOf(member, (int)(sender - MemberBlock.Thread(member, 0)));
    }

    /// <summary>The thread that a receiver's state word says has claimed it; null: no thread ever had that block.</summary>
    public static ThreadBlock* ClaimerOf(uint stateWord)
    {
        int member = ThreadBlock.ClaimerOf(stateWord);
        ThreadBlock* thread = (uint)member >= FamilyLayout.MemberCapacity ? null
            : Thread((nint)MemberBlock.Thread(member, ThreadBlock.ClaimingThreadOf(stateWord)));
        return thread is not null && Volatile.Read(ref thread->Tid) != 0 ? thread : null;
    }

    /// <summary>Where a receiver's context is saved when it goes home.</summary>
    public static byte* FrameAreaOf(ReceiverBlock* receiver)
    {
        int member = MemberOf(receiver);
        return (byte*)MemberBlock.FrameArea(member, (int)(receiver - MemberBlock.Receiver(member, 0)));
    }

    private static long IndexIn(nint address, long blocksOffset, int sizeBytes, int capacity)
    {
        long offset = address - FamilyLayout.MemberAreaBase;
        if (offset < 0 || offset >= FamilyLayout.MemberCapacity * FamilyLayout.MemberAreaBytes)
        {
            return -1;
        }

        long inBlocks = offset % FamilyLayout.MemberAreaBytes - blocksOffset;
        bool isBlock = inBlocks >= 0 && inBlocks < (long)capacity * sizeBytes && inBlocks % sizeBytes == 0;
        return isBlock && Volatile.Read(ref MemberBlock.At((int)(offset / FamilyLayout.MemberAreaBytes))->Magic) == FamilyLayout.Magic
            ? inBlocks / sizeBytes : -1;
    }
}
