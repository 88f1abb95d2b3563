using Rpal.Linux;

namespace Rpal.Memory.Buffers.Guards;

/// <summary>Puts the fault handler before the one that is there: the runtime's, which makes a NullReferenceException of a fault or ends the process without a word about buffers.</summary>
/// <remarks>It stays for the process's life. Source: sigaction(2). Managed code cannot catch such faults.</remarks>
internal static unsafe class FaultHandler
{
    private const int CodeBytes = 4096;

    /// <summary>Installs it.</summary>
    /// <param name="tableBytes">Room for the table that it reads.</param>
    /// <returns>The table, zero.</returns>
    /// <exception cref="OwnedBufferException">KernelRefused.</exception>
    public static byte* Install(int tableBytes)
    {
        nint at = Sys.Mmap(0, (nuint)(CodeBytes + tableBytes), Prot.Read | Prot.Write, MapFlags.Private | MapFlags.Anonymous, -1, 0);
        if (at < 0)
        {
            throw Refused("mmap", (int)at);
        }

        nint table = at + CodeBytes;
        byte[] code = FaultEmitter.Assemble(table, at);
        code.CopyTo(new Span<byte>((void*)at, CodeBytes));
        int r = Sys.Mprotect(at, CodeBytes, Prot.Read | Prot.Exec);
        if (r < 0)
        {
            throw Refused("mprotect, which makes it executable", r);
        }

        KernelSigaction previous = default;
        r = Sys.RtSigaction(Signal.SIGSEGV, null, &previous);
        if (r >= 0)
        {
            ((GuardTableHeader*)table)->Previous = previous.Handler;
            KernelSigaction ours = previous with { Handler = at, Flags = previous.Flags | SignalActionFlags.SigInfo };
            r = (previous.Flags & SignalActionFlags.Restorer) == 0 ? -(int)Errno.EINVAL : Sys.RtSigaction(Signal.SIGSEGV, &ours, null);
        }

        return r >= 0 ? (byte*)table : throw Refused("rt_sigaction of SIGSEGV", r);
    }

    private static OwnedBufferException Refused(string call, int errno) => new(OwnedBufferError.KernelRefused,
        $"The fault handler that guarded buffers need could not be installed ({call}: {ErrnoText.Describe(errno)}): make them with BufferLevel.Checked.");
}
