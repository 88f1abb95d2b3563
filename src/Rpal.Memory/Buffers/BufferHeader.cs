using System.Runtime.InteropServices;

namespace Rpal.Memory.Buffers;

/// <summary>
/// The last page of a buffer's part; the data lies before it, from the part's beginning. The first 64 bytes are written by the creator before anybody
/// else has the part, the rest by all parties.
/// </summary>
/// <remarks><code>
///   0 magic u64        "RPALBUF" and a zero
///   8 level u32        a BufferLevel
///  12 means u32        a GuardMeans, Protect or Move
///  16 length s64       of the data in bytes
///  24 room s64         the data's pages; nothing else lies on them
///  32 fallBack u32     1: a process that cannot have a protection key guards it by system calls
///  36..63 zero
///  64 word u64         see LockWord. SYNC buffer-content: released by whoever gives it back, acquired by whoever takes it
///  72 wait u32         bit 0 somebody waits | 1..31 counts wake-ups; the futex
///  76 zero u32
///  80 seats u64[24]    seat i belongs to reader bit i of the word, see ReaderSeat; the first six share the word's cache line
/// 272 end
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct BufferHeader
{
    public const int SizeBytes = 272;
    public const int AreaBytes = 4096;
    public const int WordOffset = 64;
    public const ulong ExpectedMagic = 0x0046_5542_4C41_5052;

    [FieldOffset(0)] public ulong Magic;
    [FieldOffset(8)] public uint Level;
    [FieldOffset(12)] public uint Means;
    [FieldOffset(16)] public long LengthBytes;
    [FieldOffset(24)] public long RoomBytes;
    [FieldOffset(32)] public uint FallBack;
    [FieldOffset(WordOffset)] public ulong Word;
    [FieldOffset(72)] public uint Wait;
    [FieldOffset(80)] public fixed ulong Seats[LockWord.ReaderBits];
}
