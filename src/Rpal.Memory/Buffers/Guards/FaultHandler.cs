using Rpal.Linux;

namespace Rpal.Memory.Buffers.Guards;

/// <summary>Puts the fault handler before the one that is there: the runtime's, which makes a NullReferenceException of a fault or ends the process without a word about buffers.</summary>
/// <remarks>It stays for the process's life. Source: sigaction(2). Managed code cannot catch such faults.</remarks>
internal static unsafe class FaultHandler
{
    private const int CodeBytes = 4096;

    private static nint s_arithmetic;

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
        byte[] code = FaultEmitter.Assemble(table, at, out s_arithmetic);
        code.CopyTo(new Span<byte>((void*)at, CodeBytes));
        int r = Sys.Mprotect(at, CodeBytes, Prot.Read | Prot.Exec);
        if (r < 0)
        {
            throw Refused("mprotect, which makes it executable", r);
        }

        Put(Signal.SIGSEGV, at, ref ((GuardTableHeader*)table)->Previous);
        return (byte*)table;
    }

    /// <summary>From now on handlers begin with the rights that the interrupted code had: once the first key is used.</summary>
    /// <exception cref="OwnedBufferException">KernelRefused.</exception>
    public static void UseKeys(GuardTableHeader* table)
    {
        if (table->KeyOffset == 0)
        {
            Put(Signal.SIGFPE, s_arithmetic, ref table->PreviousArithmetic);
            Volatile.Write(ref table->KeyOffset, KeyRegister.FrameOffset);
        }
    }

    /// <summary>Puts a handler before the one that is there, with its flags and mask.</summary>
    private static void Put(int signal, nint handler, ref nint before)
    {
        KernelSigaction previous = default;
        int r = Sys.RtSigaction(signal, null, &previous);
        if (r >= 0)
        {
            before = previous.Handler;
            KernelSigaction ours = previous with { Handler = handler, Flags = previous.Flags | SignalActionFlags.SigInfo };
            r = (previous.Flags & SignalActionFlags.Restorer) == 0 ? -(int)Errno.EINVAL : Sys.RtSigaction(signal, &ours, null);
        }

        if (r < 0)
        {
            throw Refused($"rt_sigaction of {SignalName.Of(signal)}", r);
        }
    }

    private static OwnedBufferException Refused(string call, int errno) => new(OwnedBufferError.KernelRefused,
        $"The fault handler that guarded buffers need could not be installed ({call}: {ErrnoText.Describe(errno)}): make them with BufferLevel.Checked.");
}
