using Rpal.Machine.Blocks;

namespace Rpal.Internal;

/// <summary>This process's part of the address space: what it may lend to a call.</summary>
/// <remarks>
/// Invariant: <b>a frame never points outside its sender's slot.</b> A slot stays until every call that its process began is over, so what
/// a receiver reads and writes is there for as long as it works. What a handler was lent belongs to its own caller, whose call ends when
/// the handler's process dies: handed on by reference, it would be written after that.
/// </remarks>
internal static unsafe class OwnMemory
{
    private static readonly ulong s_slot = MemberRuntime.Member is null ? 0 : (ulong)FamilyLayout.Slot(MemberRuntime.Member->Index);

    /// <summary>Whether both lie in this process's slot.</summary>
    public static bool Holds(void* first, void* second) =>
        (((ulong)first - s_slot) | ((ulong)second - s_slot)) < (ulong)FamilyLayout.SlotBytes;

    /// <summary>Whether the bytes lie in this process's slot, or there are none.</summary>
    public static bool Holds(void* bytes, int lengthBytes) => lengthBytes == 0 || (ulong)bytes - s_slot < (ulong)FamilyLayout.SlotBytes;

    /// <summary>Whether a frame that came, and what it points to, is its sender's to lend.</summary>
    public static bool IsLent(CallFrame* frame, ThreadBlock* sender)
    {
        ulong slot = (ulong)FamilyLayout.Slot(sender->Member->Index);
        return Is((nint)frame) && (frame->RequestLengthBytes == 0 || Is((nint)frame->Request))
            && (frame->AnswerCapacityBytes == 0 || Is((nint)frame->Answer));

        bool Is(nint address) => (ulong)address - slot < (ulong)FamilyLayout.SlotBytes;
    }
}
