using System.Runtime.InteropServices;

namespace Rpal.Cli.Torture;

/// <summary>What a handler does besides checking its request.</summary>
internal enum Deed
{
    /// <summary>Says who it is.</summary>
    Hello,
    Compute,
    NullReference,
    DivideByZero,
    Throw,
    File,
    InPlace,
    Allocate,
    Collect,
    Nested,
    NestedAtHome,
    Sleep,
    Echo,

    /// <summary>Asks the kernel which process it is.</summary>
    Identity,
    Count,
}

/// <summary>What every request begins with; the checksum covers it and the payload behind it.</summary>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct RequestHeader
{
    public const int SizeBytes = 56;

    [FieldOffset(0)] public int Caller;
    [FieldOffset(4)] public int Thread;
    [FieldOffset(8)] public ulong Incarnation;
    [FieldOffset(16)] public ulong Sequence;
    [FieldOffset(24)] public Deed Deed;
    [FieldOffset(28)] public int Argument;
    [FieldOffset(32)] public int PayloadLengthBytes;
    [FieldOffset(36)] public int Depth;
    [FieldOffset(40)] public ulong Checksum;

    /// <summary>Must be what it was: a whole word that nothing else uses.</summary>
    [FieldOffset(48)] public ulong Guard;
}

/// <summary>What every answer begins with; the checksum covers it and the payload behind it, and the request's checksum is in it.</summary>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct AnswerHeader
{
    public const int SizeBytes = 56;

    [FieldOffset(0)] public ulong Request;
    [FieldOffset(8)] public ulong Sequence;
    [FieldOffset(16)] public ulong Incarnation;
    [FieldOffset(24)] public ulong Value;
    [FieldOffset(32)] public int Callee;
    [FieldOffset(36)] public int PayloadLengthBytes;
    [FieldOffset(40)] public ulong Checksum;

    /// <summary>The callee's process, as its first thread learned it from the kernel.</summary>
    [FieldOffset(48)] public int Pid;

    /// <summary>The process whose system calls the handler's were; 0: the deed does not ask (<see
    /// cref="TortureMessage.AsksKernel"/>).</summary>
    [FieldOffset(52)] public int KernelPid;
}

/// <summary>Checksums bound to a call, and what handlers compute.</summary>
internal static class TortureMessage
{
    public const ulong Guard = 0x5AFE_CA11_5AFE_CA11;
    public const int PayloadLimitBytes = 64 << 10;

    /// <summary>Methods of a callee: bytes with payload, and a struct without.</summary>
    public const int Bytes = 1, Value = 2;

    private const ulong Offset = 14695981039346656037, Prime = 1099511628211;

    public static string ServiceOf(int callee) => $"torture-{callee}";

    /// <summary>The same choices for the same words, in every process.</summary>
    public static Random RandomOf(params ReadOnlySpan<ulong> words) => new((int)Hash(MemoryMarshal.AsBytes(words)));

    /// <summary>FNV-1a over words of eight bytes.</summary>
    public static ulong Hash(ReadOnlySpan<byte> bytes, ulong hash = Offset)
    {
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        foreach (ulong w in words)
        {
            hash = (hash ^ w) * Prime;
            hash ^= hash >> 29;
        }

        foreach (byte b in bytes[(words.Length * sizeof(ulong))..])
        {
            hash = (hash ^ b) * Prime;
        }

        return hash;
    }

    public static ulong ChecksumOf(RequestHeader header, ReadOnlySpan<byte> payload)
    {
        header.Checksum = 0;
        return Hash(payload, Hash(MemoryMarshal.AsBytes(new ReadOnlySpan<RequestHeader>(in header))));
    }

    public static ulong ChecksumOf(AnswerHeader header, ReadOnlySpan<byte> payload)
    {
        header.Checksum = 0;
        return Hash(payload, Hash(MemoryMarshal.AsBytes(new ReadOnlySpan<AnswerHeader>(in header))));
    }

    /// <summary>What a compute handler works out, and its caller too.</summary>
    public static ulong Compute(ulong from, int rounds)
    {
        for (int i = 0; i < rounds; i++)
        {
            from = from * 6364136223846793005 + 1442695040888963407;
        }

        return from;
    }

    /// <summary>Deeds that need the kernel anyway, and so can ask it whose system calls these are: to ask is a lazy switch.</summary>
    public static bool AsksKernel(Deed deed) => deed is Deed.Hello or Deed.Identity or Deed.File or Deed.NestedAtHome or Deed.Sleep;

    /// <summary>What the answer's value must be.</summary>
    public static ulong ValueOf(in RequestHeader q) => q.Deed switch
    {
        Deed.Compute => Compute(q.Checksum, q.Argument),
        Deed.NullReference or Deed.DivideByZero => q.Checksum ^ 42,
        _ => q.Checksum + (ulong)q.Deed,
    };
}
