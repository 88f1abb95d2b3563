namespace Rpal.Memory.Segments;

/// <summary>How a segment is made.</summary>
public sealed record SegmentOptions
{
    /// <summary>Which pages it should have. Default: the system's small ones.</summary>
    public PagePreference Pages { get; init; }

    /// <summary>What /proc/PID/maps shows for it, up to <see cref="NameLengthLimit"/> bytes. It names nothing that others could open.</summary>
    public string Name { get; init; } = "rpal-segment";

    /// <summary>Most bytes of <see cref="Name"/> as UTF-8.</summary>
    public const int NameLengthLimit = 200;
}

/// <summary>Which pages a segment should have.</summary>
public enum PagePreference
{
    /// <summary>Small pages, 4 KiB.</summary>
    Small,

    /// <summary>
    /// Reserved huge pages of 2 MiB (vm.nr_hugepages); where too few are free, small pages with the request to join them (MADV_HUGEPAGE), which the
    /// system does by its own rules (/sys/kernel/mm/transparent_hugepage/shmem_enabled). <see cref="Segment.Pages"/> says what it became.
    /// </summary>
    PreferHuge,

    /// <summary>Reserved huge pages of 2 MiB or an error.</summary>
    RequireHuge,
}

/// <summary>Which pages a segment has.</summary>
public enum PageKind
{
    /// <summary>4 KiB.</summary>
    Small,

    /// <summary>4 KiB, which the system may join to 2 MiB.</summary>
    SmallJoined,

    /// <summary>2 MiB, reserved.</summary>
    Huge,
}
