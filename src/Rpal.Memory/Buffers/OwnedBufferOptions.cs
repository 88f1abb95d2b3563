namespace Rpal.Memory.Buffers;

/// <summary>How a buffer is made.</summary>
public sealed record OwnedBufferOptions
{
    /// <summary>What becomes of an access outside a lease. Default: <see cref="BufferLevel.Checked"/>.</summary>
    public BufferLevel Level { get; init; }

    /// <summary>How <see cref="BufferLevel.Guarded"/> takes the access away. Default: the cheapest for the size.</summary>
    public GuardMeans Means { get; init; }

    /// <summary>Whether <see cref="BufferLevel.GuardedByKeys"/> becomes <see cref="BufferLevel.Guarded"/> where there are no protection keys, instead of an error: in this process, and in each that opens it.</summary>
    public bool FallBack { get; init; }
}

/// <summary>What becomes of an access outside a lease.</summary>
public enum BufferLevel
{
    /// <summary>The lock and the compiler: a span cannot outlive its lease. An address that was kept can be misused.</summary>
    Checked = 0,

    /// <summary>The process that does it ends, with a message that names buffer, holder and rule. Costs system calls per lease.</summary>
    Guarded = 1,

    /// <summary>As <see cref="Guarded"/>, by the CPU's protection keys: no system call, and each thread for itself.</summary>
    GuardedByKeys = 2,
}

/// <summary>How a guarded buffer is made inaccessible between leases.</summary>
public enum GuardMeans
{
    /// <summary>Chosen by the size, see <see cref="OwnedBuffer.MoveFromBytes"/>.</summary>
    Cheapest = 0,

    /// <summary>mprotect(2): changes each page's entry. A read lease can only read.</summary>
    Protect = 1,

    /// <summary>mremap(2) of whole 2 MiB to a hidden place and back: moves page tables instead of changing them (seed 003). Takes whole 2 MiB of the segment.</summary>
    Move = 2,
}
