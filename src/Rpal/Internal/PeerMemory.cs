using Rpal.Machine.Blocks;

namespace Rpal.Internal;

/// <summary>The memory of one start of a member: its slot, for as long as that process lives.</summary>
internal readonly unsafe struct PeerMemory(int member, ulong generation)
{
    private static readonly delegate* unmanaged<byte*, byte*, nuint, nuint> s_copy =
        (delegate* unmanaged<byte*, byte*, nuint, nuint>)MemberRuntime.Header->Address(Routine.Copy);

    /// <summary>The number of a member's present start.</summary>
    public static ulong GenerationOf(int member) => Volatile.Read(ref MemberBlock.At(member)->Generation);

    /// <summary>Copies through the recovery point. The trampoline stands before the runtime's handler, so an access violation never reaches it.</summary>
    public CopyStatus Copy(nint peerAddress, byte* own, int lengthBytes, bool toPeer)
    {
        ulong offset = (ulong)peerAddress - (ulong)FamilyLayout.Slot(member);
        if (offset >= (ulong)FamilyLayout.SlotBytes || (ulong)lengthBytes > (ulong)FamilyLayout.SlotBytes - offset)
        {
            return CopyStatus.OutOfRange;
        }

        if (!IsAlive())
        {
            return CopyStatus.PeerGone;
        }

        byte* peer = (byte*)peerAddress;
        nuint left = toPeer ? s_copy(peer, own, (nuint)lengthBytes) : s_copy(own, peer, (nuint)lengthBytes);
        Interlocked.MemoryBarrier();                             // the copy, then the look: a peer that is alive after it was so during it
        return !IsAlive() ? CopyStatus.PeerGone
            : left != 0 ? CopyStatus.NotMapped
            : CopyStatus.Copied;
    }

    private bool IsAlive() => (MemberState)Volatile.Read(ref *(uint*)&MemberBlock.At(member)->State) == MemberState.Running && GenerationOf(member) == generation;
}
