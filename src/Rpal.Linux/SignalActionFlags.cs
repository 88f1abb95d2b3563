namespace Rpal.Linux;

/// <summary>sigaction(2): SA_*.</summary>
internal static class SignalActionFlags
{
    public const ulong NoChildStop = 1;
    public const ulong NoChildWait = 2;
    public const ulong SigInfo = 4;
    public const ulong Restorer = 0x04000000;
    public const ulong OnStack = 0x08000000;
    public const ulong Restart = 0x10000000;
    public const ulong NoDefer = 0x40000000;
    public const ulong ResetHandler = 0x80000000;
}
