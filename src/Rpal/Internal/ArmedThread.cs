using Rpal.Machine.Blocks;

namespace Rpal.Internal;

/// <summary>The calling context's thread block, where every call can look: without a static constructor, so that the look is
/// inlined.</summary>
/// <remarks>
/// The one thing that says whose a context is. Comes back: never. The runtime gives each thread its thread-statics anew, and a foreign
/// context has its own through FS. GS does not say it: clone inherits
/// it, from threads that may have ended since. Nor does GS together with FS: a new thread gets the stack, and with it the FS, of one that
/// ended.
/// </remarks>
internal static unsafe class ArmedThread
{
    /// <summary>Null: not armed.</summary>
    [ThreadStatic]
    public static ThreadBlock* Block;
}
