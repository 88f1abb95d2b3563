using Rpal.Internal;
using Rpal.Machine.Blocks;

namespace Rpal.TestMember.Scenarios;

/// <summary>A process whose memory was written over: its blocks in the family's region say anything.</summary>
internal static unsafe class Corruption
{
    /// <summary>Writes one address wherever this process's blocks hold one. It must end right after.</summary>
    /// <param name="what">Which kind of address.</param>
    public static void WriteOver(string what)
    {
        const int nobody = FamilyLayout.MemberCapacity - 1;      // a slot that no member of a test gets
        int own = MemberRuntime.Member->Index;
        nint address = what switch
        {
            "unmapped" => 0x7000,
            "outside" => unchecked((nint)0xFFFF_8000_0000_0000),
            "misaligned" => (nint)MemberBlock.Thread(own, 0) + sizeof(long),
            "in-the-block-of-nobody" => (nint)MemberBlock.Thread(nobody, 0),
            "in-the-receiver-of-nobody" => (nint)MemberBlock.Receiver(nobody, 0),
            "in-the-code" => unchecked((nint)FamilyLayout.CodeBase),
            "in-the-directory" => (nint)FamilyHeader.Service(0),
            _ => throw new ArgumentException(what),
        };
        for (int i = 0; i < FamilyLayout.ReceiverCapacity; i++)
        {
            ReceiverBlock* r = MemberBlock.Receiver(own, i);
            r->Sender = r->Pending = r->Answering = r->Home = (ThreadBlock*)address;
            r->Service = (ServiceEntry*)address;
            r->Frame = r->FrameArea = address;
            r->InHandler = (uint)i;
            r->StateWord = (uint)i * 0x1001;                     // every state, and what is none, with and without a claimer
        }

        for (int t = 0; t < FamilyLayout.ThreadCapacity && MemberBlock.Thread(own, t)->Tid != 0; t++)
        {
            ThreadBlock* thread = MemberBlock.Thread(own, t);
            thread->Current = thread->OwnReceiver = thread->Parked = (ReceiverBlock*)address;
            thread->WaitsFor = (ServiceEntry*)address;
            thread->Member = (MemberBlock*)address;
            thread->Pid = 1;
        }

        MemberBlock* member = MemberRuntime.Member;
        (member->Index, member->Pid, member->State) = (-7, 1, (MemberState)77);
        for (int s = 0; s < 65; s++)
        {
            member->Actions[s] = address;
        }
    }
}
