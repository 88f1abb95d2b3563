namespace Rpal.Linux;

/// <summary>sigprocmask(2): SIG_*.</summary>
internal static class SignalMaskHow
{
    public const int Block = 0;
    public const int Unblock = 1;
    public const int SetMask = 2;
}
