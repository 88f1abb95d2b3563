using System.Text;
using Rpal.Linux;

namespace Rpal.Memory.Buffers.Guards;

/// <summary>The guarded buffers of this process, for the fault handler and for whoever looks for free addresses.</summary>
internal static unsafe class GuardedRanges
{
    /// <summary>Guarded buffers that one process can have open at the same time.</summary>
    public const int Capacity = 256;

    /// <summary>Bytes of the table in memory.</summary>
    public const int TableBytes = GuardTableHeader.SizeBytes + Capacity * GuardEntry.SizeBytes;

    private static readonly Lock s_lock = new();
    private static byte* s_table;

    private static GuardTableHeader* Header => (GuardTableHeader*)s_table;

    private static GuardEntry* Entries => (GuardEntry*)(s_table + GuardTableHeader.SizeBytes);

    /// <summary>Has faults in a range told as an access outside a lease. Installs the handler on first use.</summary>
    /// <returns>For <see cref="Remove"/>.</returns>
    /// <exception cref="OwnedBufferException">KernelRefused; BadArgument: too many.</exception>
    public static int Add(nint begin, long lengthBytes, ulong* word, string text)
    {
        lock (s_lock)
        {
            if (s_table is null)
            {
                s_table = FaultHandler.Install(TableBytes);
            }

            for (int i = 0; i < Capacity; i++)
            {
                GuardEntry* entry = Entries + i;
                if (entry->Begin == 0)
                {
                    entry->TextLengthBytes = (uint)Encoding.ASCII.GetBytes(text.Length > GuardEntry.TextBytes ? text[..GuardEntry.TextBytes] : text, new Span<byte>(entry->Text, GuardEntry.TextBytes));
                    entry->Word = word;
                    entry->End = begin + lengthBytes;
                    Volatile.Write(ref entry->Begin, begin);
                    Volatile.Write(ref Header->Count, Math.Max(Header->Count, (uint)i + 1));
                    return i;
                }
            }
        }

        throw new OwnedBufferException(OwnedBufferError.BadArgument, $"This process has {Capacity} guarded buffers open, the most there can be: dispose of some, or make them with BufferLevel.Checked.");
    }

    /// <summary>For a range that <see cref="Add"/> was told of and that a key guards.</summary>
    /// <exception cref="OwnedBufferException">KernelRefused.</exception>
    public static void UseKeys()
    {
        lock (s_lock)
        {
            FaultHandler.UseKeys(Header);
        }
    }

    public static void Remove(int index)
    {
        lock (s_lock)
        {
            Entries[index].End = 0;                              // nothing lies below: the handler takes it for nobody's
            Volatile.Write(ref Entries[index].Begin, 0);
        }
    }

    /// <summary>Whether a guarded buffer has its place there, though nothing may be mapped there just now.</summary>
    public static bool Overlap(long address, long lengthBytes)
    {
        lock (s_lock)
        {
            for (uint i = 0; s_table is not null && i < Header->Count; i++)
            {
                if (Entries[i].Begin < address + lengthBytes && Entries[i].End > address)
                {
                    return true;
                }
            }

            return false;
        }
    }
}
