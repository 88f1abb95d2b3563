namespace Rpal.Linux;

/// <summary>mremap(2): MREMAP_*.</summary>
internal static class MremapFlags
{
    public const int MayMove = 1;
    public const int Fixed = 2;
    public const int DontUnmap = 4;
}
