namespace Rpal.Linux;

/// <summary>arch_prctl(2): ARCH_*.</summary>
internal static class ArchPrctlOp
{
    public const int EnableShadowStack = 0x5001;
}
