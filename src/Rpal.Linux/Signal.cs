namespace Rpal.Linux;

/// <summary>signal(7), x86-64.</summary>
internal static class Signal
{
    public const int Hup = 1;
    public const int Int = 2;
    public const int Quit = 3;
    public const int Ill = 4;
    public const int Trap = 5;
    public const int Abrt = 6;
    public const int Bus = 7;
    public const int Fpe = 8;
    public const int Kill = 9;
    public const int Usr1 = 10;
    public const int Segv = 11;
    public const int Usr2 = 12;
    public const int Pipe = 13;
    public const int Alrm = 14;
    public const int Term = 15;
    public const int Chld = 17;
    public const int Cont = 18;
    public const int Stop = 19;
    public const int Sys = 31;
}
