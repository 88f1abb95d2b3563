using System.Security.Cryptography;
using Rpal.Linux;

namespace Rpal.Memory.Segments;

/// <summary>Where segments are mapped: at an address that is likely to be free in every process, chosen at random in a range that neither the
/// kernel (top down), the program, its heap nor a family's slots use.</summary>
internal static class SegmentAddress
{
    /// <summary>First byte of the range; a family's slots end at 0x2400_0000_0000.</summary>
    public const long Lowest = 0x2800_0000_0000;

    /// <summary>The byte behind the range; programs are loaded from 0x5555_5555_0000.</summary>
    public const long End = 0x5000_0000_0000;

    /// <summary>Segments begin at multiples of this, so that their page tables can be moved whole and huge pages fit.</summary>
    public const long Alignment = 0x20_0000;

    /// <summary>Addresses tried by whoever makes a segment, and offered in a transfer.</summary>
    public const int AttemptsLimit = 8;

    public static long Propose(long lengthBytes)
    {
        long places = (End - Lowest - lengthBytes) / Alignment;
        Span<byte> random = stackalloc byte[sizeof(ulong)];
        RandomNumberGenerator.Fill(random);
        return Lowest + (long)(BitConverter.ToUInt64(random) % (ulong)places) * Alignment;
    }

    /// <summary>Whether an address that came from another process is one that <see cref="Propose"/> could have given.</summary>
    public static bool IsPlausible(long address, long lengthBytes) =>
        address >= Lowest && address % Alignment == 0 && lengthBytes > 0 && lengthBytes < End - Lowest && address <= End - lengthBytes;

    /// <summary>
    /// Maps a file at an address where nothing lies. Asked for by hint and compared, not by MAP_FIXED_NOREPLACE: a member of a family gets its mappings
    /// where its slot has room, and there the segment lies at an address of its own. Addresses come from other processes: one where segments do not lie, or where a
    /// guarded buffer's bytes belong, is not asked for.
    /// </summary>
    /// <returns>Where it lies, which may be elsewhere, or -errno.</returns>
    public static nint Map(int fd, long lengthBytes, long address)
    {
        bool isAllowed = IsPlausible(address, lengthBytes) && !Buffers.Guards.GuardedRanges.Overlap(address, lengthBytes);
        return Sys.Mmap(isAllowed ? (nint)address : 0, (nuint)lengthBytes, Prot.Read | Prot.Write, MapFlags.Shared, fd, 0);
    }

    /// <summary>Whether a file can be mapped there now.</summary>
    public static bool IsFree(int fd, long lengthBytes, long address)
    {
        Tombstone.MakeRoom(address, lengthBytes);
        nint at = Map(fd, lengthBytes, address);
        _ = at < 0 ? 0 : Sys.Munmap(at, (nuint)lengthBytes);
        return at == address;
    }

    /// <returns>An address where a file can be mapped now; 0 when none is found, as in a family.</returns>
    public static long FindFree(int fd, long lengthBytes)
    {
        for (int attempt = 0; attempt < AttemptsLimit; attempt++)
        {
            long address = Propose(lengthBytes);
            if (IsFree(fd, lengthBytes, address))
            {
                return address;
            }
        }

        return 0;
    }
}
