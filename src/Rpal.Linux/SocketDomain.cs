namespace Rpal.Linux;

/// <summary>socket(2): AF_*.</summary>
internal static class SocketDomain
{
    public const int Unix = 1;
}
