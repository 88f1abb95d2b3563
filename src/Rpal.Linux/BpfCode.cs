namespace Rpal.Linux;

/// <summary>Classic BPF as seccomp(2) accepts it: ready combinations of class, size, mode and source (linux/filter.h).</summary>
internal static class BpfCode
{
    public const ushort LoadWordAbsolute = 0x20;
    public const ushort JumpAlways = 0x05;
    public const ushort JumpIfEqual = 0x15;
    public const ushort JumpIfGreater = 0x25;
    public const ushort JumpIfGreaterOrEqual = 0x35;
    public const ushort JumpIfAnyBit = 0x45;
    public const ushort And = 0x54;
    public const ushort Return = 0x06;
}
