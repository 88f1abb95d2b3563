namespace Rpal.Hosting.Broker;

/// <summary>What an operator is told once about a member.</summary>
internal enum NoticeKind
{
    /// <summary>The slot has no room.</summary>
    SlotFull,

    /// <summary>A fixed address lies outside the slot.</summary>
    FixedAddress,

    /// <summary>MAP_32BIT.</summary>
    Low32Bit,

    /// <summary>mseal(2).</summary>
    Seal,

    /// <summary>PR_SET_DUMPABLE 0.</summary>
    NotDumpable,

    /// <summary>setuid(2) and the like.</summary>
    ChangesIds,

    /// <summary>setns(2) into a user namespace of another owner.</summary>
    EntersNamespace,

    /// <summary>The family was not dumpable any more.</summary>
    LostDumpable,

    /// <summary>The kernel refuses the host what it needs of a caller.</summary>
    Denied,

    /// <summary>mlockall(2) over the limit.</summary>
    LockLimit,

    /// <summary>seccomp's strict mode.</summary>
    StrictMode,

    /// <summary>A seccomp filter with a listener.</summary>
    FilterListener,

    /// <summary>PR_SET_MM.</summary>
    ProgramNotes,

    /// <summary>PR_SET_MDWE.</summary>
    DenyWriteExecute,

    /// <summary>PR_SET_MEMORY_MERGE.</summary>
    MemoryMerge,

    /// <summary>PR_FUTEX_HASH.</summary>
    FutexHash,

    /// <summary>Shadow stacks.</summary>
    ShadowStack,

    /// <summary>modify_ldt(2).</summary>
    LocalDescriptors,

    /// <summary>RLIMIT_AS.</summary>
    AddressSpaceLimit,

    /// <summary>RLIMIT_DATA.</summary>
    DataLimit,

    /// <summary>migrate_pages(2).</summary>
    MigratesAll,
}
