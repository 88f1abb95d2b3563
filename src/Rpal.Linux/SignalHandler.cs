namespace Rpal.Linux;

/// <summary>sigaction(2): SIG_DFL, SIG_IGN as a handler.</summary>
internal static class SignalHandler
{
    public const int Default = 0;
    public const int Ignore = 1;
}
