namespace Rpal.Linux;

/// <summary>prctl(2), PR_SET_SYSCALL_USER_DISPATCH: modes and selector bytes.</summary>
internal static class SyscallUserDispatch
{
    public const int Off = 0;
    public const int On = 1;
    public const int FilterAllow = 0;
    public const int FilterBlock = 1;
}
