namespace Rpal.Linux;

/// <summary>getauxval(3): AT_*.</summary>
internal static class AuxiliaryType
{
    public const ulong PageSize = 6;
    public const ulong Base = 7;
    public const ulong Entry = 9;
    public const ulong Platform = 15;
    public const ulong HardwareCapabilities = 16;
    public const ulong Random = 25;
    public const ulong HardwareCapabilities2 = 26;
    public const ulong RseqFeatureSize = 27;
    public const ulong RseqAlign = 28;
    public const ulong SysinfoEhdr = 33;
    public const ulong MinimumSignalStackSize = 51;
}
