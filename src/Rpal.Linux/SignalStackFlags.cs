namespace Rpal.Linux;

/// <summary>sigaltstack(2): SS_*.</summary>
internal static class SignalStackFlags
{
    public const int OnStack = 1;
    public const int Disable = 2;
    public const int AutoDisarm = unchecked((int)0x80000000);
}
