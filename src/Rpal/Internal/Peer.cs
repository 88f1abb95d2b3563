using Rpal.Machine.Blocks;

namespace Rpal.Internal;

/// <summary>One start of a member.</summary>
/// <remarks>Comes back: the index, with the slot and all blocks. What takes them later has another generation.</remarks>
internal readonly unsafe struct Peer(int member, ulong generation)
{
    private static readonly delegate* unmanaged<byte*, byte*, nuint, nuint> s_copy =
        (delegate* unmanaged<byte*, byte*, nuint, nuint>)MemberRuntime.Header->Address(Routine.Copy);

    /// <summary>The number of a member's present start.</summary>
    public static ulong GenerationOf(int member) => Volatile.Read(ref MemberBlock.At(member)->Generation);

    /// <summary>Whether it is not known to be dead.</summary>
    public bool IsAlive => (MemberState)Volatile.Read(ref *(uint*)&MemberBlock.At(member)->State) == MemberState.Running && GenerationOf(member) == generation;

    /// <summary>Copies through the recovery point. The trampoline stands before the runtime's handler, so an access violation never reaches it.</summary>
    /// <remarks>
    /// SYNC copying: this thread says whose memory it is in, then looks whether that member runs; the host stores Gone, makes every CPU of the
    /// family pass a barrier, then looks for threads that say so (<c>SlotReclaim</c>). So while it copies, nothing else takes the slot.
    /// </remarks>
    public CopyStatus Copy(nint peerAddress, byte* own, int lengthBytes, bool toPeer)
    {
        ulong offset = (ulong)peerAddress - (ulong)FamilyLayout.Slot(member);
        if (offset >= (ulong)FamilyLayout.SlotBytes || (ulong)lengthBytes > (ulong)FamilyLayout.SlotBytes - offset)
        {
            return CopyStatus.OutOfRange;
        }

        ThreadBlock* self = ThreadArmory.Current;
        Volatile.Write(ref self->Copying, generation);           // no fence: the host's barrier stands for it
        nuint left = (nuint)lengthBytes;
        bool alive = IsAlive;
        if (alive)
        {
            byte* peer = (byte*)peerAddress;
            left = toPeer ? s_copy(peer, own, left) : s_copy(own, peer, left);
            Interlocked.MemoryBarrier();                         // the copy, then the look: a peer that is alive after it was so during it
            alive = IsAlive;
        }

        Volatile.Write(ref self->Copying, 0);
        return !alive ? CopyStatus.PeerGone
            : left != 0 ? CopyStatus.NotMapped
            : CopyStatus.Copied;
    }
}
