using System.Runtime.InteropServices;

namespace Rpal.Cli.Bench;

/// <summary>What the two processes of <c>rpal bench ownership</c> tell each other beside the transfers.</summary>
/// <remarks>0 order u32, counts up; written by the writer after what it is about | 4 method u32 | 8 size u32 | 12 rounds u32 | 128 sent u64, by the writer | 256 received u64, by the reader</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct OwnershipControl
{
    public const int SizeBytes = 384;
    public const int Stop = -1;

    [FieldOffset(0)] public uint Order;
    [FieldOffset(4)] public int Method;
    [FieldOffset(8)] public int Size;
    [FieldOffset(12)] public int Rounds;
    [FieldOffset(128)] public ulong Sent;
    [FieldOffset(256)] public ulong Received;
}
