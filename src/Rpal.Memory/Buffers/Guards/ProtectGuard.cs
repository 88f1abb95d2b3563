using Rpal.Linux;

namespace Rpal.Memory.Buffers.Guards;

/// <summary>mprotect(2): a system call and a change of every page's entry, so dear for many pages; one entry per 2 MiB with huge pages.</summary>
internal sealed class ProtectGuard(nint address, long roomBytes) : BufferGuard(address, roomBytes)
{
    protected override bool Open(bool write)
    {
        Check("mprotect", Sys.Mprotect(Address, RoomBytes, write ? Prot.Read | Prot.Write : Prot.Read));
        return write;
    }

    protected override void Close() => Check("mprotect", Sys.Mprotect(Address, RoomBytes, Prot.None));
}
