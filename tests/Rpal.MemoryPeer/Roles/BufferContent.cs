using System.Runtime.InteropServices;
using Rpal.Memory;

namespace Rpal.MemoryPeer.Roles;

/// <summary>Content that tells whether it was written as a whole: every word follows from the first.</summary>
public static class BufferContent
{
    public static void Fill(Span<byte> bytes, ulong seed)
    {
        Span<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        for (int i = 0; i < words.Length; i++)
        {
            words[i] = seed + (ulong)i * seed;
            if (i == words.Length / 2)
            {
                KillPoints.Reach(KillPoint.BufferHalfWritten);
            }
        }
    }

    public static bool IsWhole(ReadOnlySpan<byte> bytes)
    {
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        ulong seed = words[0];
        for (int i = 0; i < words.Length; i++)
        {
            if (words[i] != seed + (ulong)i * seed)
            {
                return false;
            }
        }

        return true;
    }
}
