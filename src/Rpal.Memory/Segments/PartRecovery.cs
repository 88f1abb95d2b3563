using Rpal.Memory.Blocks;
using Rpal.Memory.Waiting;

namespace Rpal.Memory.Segments;

/// <summary>What becomes of a dead process's share of each kind of part. Done for the whole segment, also by processes that do not use that part.</summary>
internal static class PartRecovery
{
    public static void Run(Part part, int deadParty)
    {
        switch (part.Kind)
        {
            case PartKind.BlockPool:
                BlockPoolRecovery.Recover(part, deadParty);
                break;
            case PartKind.OwnedBuffer:
                Buffers.OwnedBuffer.Recover(part, deadParty);
                break;
            case PartKind.Semaphore:
                SemaphoreRecovery.Recover(part, deadParty);
                break;
            case PartKind.SemaphoreSet:
                SemaphoreSetRecovery.Recover(part, deadParty);
                break;
            default:
                break;                                           // nothing of it belongs to anybody
        }
    }
}
