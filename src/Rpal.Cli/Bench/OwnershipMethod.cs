namespace Rpal.Cli.Bench;

/// <summary>How bytes become another process's.</summary>
internal enum OwnershipMethod
{
    /// <summary>memfd_create, ftruncate, map, fill, unmap, seal, pass by SCM_RIGHTS; map, read, unmap.</summary>
    Classic,

    /// <summary>Fill, write(2) into a stream socket, read(2), read.</summary>
    Socket,

    /// <summary>The floor: fill, one word that says so; read, one word that says so. The same memory as <see cref="Checked"/>, nobody owns it.</summary>
    Plain,

    /// <summary>An owned buffer, write lease, fill, hand over; accept, read, hand back.</summary>
    Checked,

    /// <summary>As <see cref="Checked"/>, with write and read leases and a word beside it that says when.</summary>
    CheckedLocks,

    /// <summary>As <see cref="Checked"/>, guarded in both processes by mprotect.</summary>
    GuardedProtect,

    /// <summary>As <see cref="Checked"/>, guarded in both processes by mremap of whole 2 MiB.</summary>
    GuardedMove,

    /// <summary>As <see cref="Checked"/>, guarded by protection keys, where the CPU has them.</summary>
    GuardedKeys,
}
