using Rpal.Linux;

namespace Rpal.Memory.PerCpu;

/// <summary>The same operations without restartable sections: on the shared lane of whichever CPU's line, with lock-prefixed instructions. Right even when the thread is moved in between.</summary>
internal static unsafe class PerCpuAtomics
{
    /// <summary>Tries to exchange a list's head before it is the caller's turn to do something else.</summary>
    public const int AttemptsLimit = 1000;

    private const int TagShift = 32;

    /// <summary>The CPU; 0 where the kernel does not say.</summary>
    public static int Cpu => Math.Max(0, Sys.SchedGetcpu());

    public static void Add(byte* lines, nint strideBytes, long value) => Interlocked.Add(ref *(long*)Shared(lines, strideBytes), value);

    public static bool TryPush(byte* lines, nint strideBytes, uint* links, uint node)
    {
        ref ulong head = ref *Shared(lines, strideBytes);
        ulong seen = Volatile.Read(ref head);
        for (int attempt = 0; attempt < AttemptsLimit; attempt++)
        {
            Volatile.Write(ref links[node], (uint)seen);
            ulong found = Interlocked.CompareExchange(ref head, Next(seen, node + 1), seen);
            if (found == seen)
            {
                return true;
            }

            seen = found;
        }

        return false;
    }

    public static PerCpuPop TryPop(byte* lines, nint strideBytes, uint* links, uint nodes, out uint node)
    {
        ref ulong head = ref *Shared(lines, strideBytes);
        ulong seen = Volatile.Read(ref head);
        for (int attempt = 0; attempt < AttemptsLimit; attempt++)
        {
            node = (uint)seen - 1;
            if ((uint)seen == 0)
            {
                return PerCpuPop.Empty;
            }

            if (node >= nodes)
            {
                return PerCpuPop.Corrupt;
            }

            // The link may be another's already: then the tag has changed, and the exchange fails.
            ulong found = Interlocked.CompareExchange(ref head, Next(seen, Volatile.Read(ref links[node])), seen);
            if (found == seen)
            {
                return PerCpuPop.Taken;
            }

            seen = found;
        }

        node = 0;
        return PerCpuPop.Busy;
    }

    /// <summary>Check and value are one 64-bit word here.</summary>
    public static PerCpuStore TryStore(byte* lines, nint strideBytes, uint expected, uint value)
    {
        ref ulong word = ref *Shared(lines, strideBytes);
        ulong seen = Volatile.Read(ref word);
        for (int attempt = 0; attempt < AttemptsLimit; attempt++)
        {
            if ((uint)seen != expected)
            {
                return PerCpuStore.Differs;
            }

            ulong found = Interlocked.CompareExchange(ref word, (ulong)value << TagShift | expected, seen);
            if (found == seen)
            {
                return PerCpuStore.Stored;
            }

            seen = found;
        }

        return PerCpuStore.Busy;
    }

    private static ulong* Shared(byte* lines, nint strideBytes) => (ulong*)(lines + Cpu * strideBytes + PerCpuLine.SharedOffset);

    private static ulong Next(ulong seen, uint head) => ((seen >> TagShift) + 1) << TagShift | head;
}
