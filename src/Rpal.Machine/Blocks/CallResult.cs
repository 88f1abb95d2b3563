namespace Rpal.Machine.Blocks;

/// <summary>What the call routine returns; also the values of a thread block's reply word.</summary>
internal static class CallResult
{
    /// <summary>Reply word: no answer yet.</summary>
    public const uint Pending = 0;

    /// <summary>The handler ran and returned.</summary>
    public const uint Answered = 1;

    /// <summary>The receiver's process died while it had the call.</summary>
    public const uint PeerDied = 2;

    /// <summary>Reply word: no answer yet, and the sender's kernel thread sleeps on it.</summary>
    public const uint Asleep = 3;

    /// <summary>Not claimed; the low byte is the <see cref="ReceiverState"/> found.</summary>
    public const uint NotReady = 0x100;

    /// <summary>The calling thread has no block yet.</summary>
    public const uint NotArmed = 0x200;

    /// <summary>The calling thread has a block, and GS names another: somebody set it.</summary>
    public const uint NotOwn = 0x400;
}
