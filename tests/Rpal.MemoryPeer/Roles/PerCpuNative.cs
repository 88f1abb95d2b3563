using Iced.Intel;
using Rpal.Linux;
using static Iced.Intel.AssemblerRegisters;

namespace Rpal.MemoryPeer.Roles;

/// <summary>Signal handlers of the per-CPU tests: machine code, because a signal that lands anywhere must not run managed code.</summary>
/// <remarks>The page's data: 0 breakpoint's address u64 | 8 the byte that belongs there u8 | 16 breakpoints hit u64 | 24 where the last one's frame goes on u64 | 32 signals handled u64.</remarks>
internal static unsafe class PerCpuNative
{
    private const int PageBytes = 4096, DataBytes = 64;
    private const int ByteAt = 8, HitsAt = 16, RipAt = 24, HandledAt = 32;
    private static byte* s_page;

    public static ulong Hits => Volatile.Read(ref *(ulong*)(s_page + HitsAt));

    public static long LastRip => *(long*)(s_page + RipAt);

    public static ulong Handled => Volatile.Read(ref *(ulong*)(s_page + HandledAt));

    /// <summary>Installs the counting handler for one signal, and that of one-shot breakpoints for SIGTRAP.</summary>
    public static void Install(int signal)
    {
        s_page = (byte*)Sys.Mmap(0, PageBytes, Prot.Read | Prot.Write | Prot.Exec, MapFlags.Private | MapFlags.Anonymous, -1, 0);
        var c = new Assembler(64);
        Label count = c.CreateLabel(), trap = c.CreateLabel(), aborted = c.CreateLabel(), restorer = c.CreateLabel();
        c.Label(ref count);                                      // edi = signal, rsi = siginfo, rdx = ucontext
        c.mov(rax, (long)s_page);
        c.@lock.inc(__qword_ptr[rax + HandledAt]);
        c.ret();
        c.Label(ref trap);                                       // takes the breakpoint away; the instruction runs again unless the kernel restarted its section
        c.mov(r8, (long)s_page);
        c.mov(rax, __qword_ptr[r8]);
        c.mov(cl, __byte_ptr[r8 + ByteAt]);
        c.mov(__byte_ptr[rax], cl);
        c.inc(__qword_ptr[r8 + HitsAt]);
        c.mov(rcx, __qword_ptr[rdx + SignalFrame.Rip]);
        c.mov(__qword_ptr[r8 + RipAt], rcx);
        c.lea(r9, __qword_ptr[rax + 1]);
        c.cmp(rcx, r9);
        c.jne(aborted);
        c.mov(__qword_ptr[rdx + SignalFrame.Rip], rax);
        c.Label(ref aborted);
        c.nop();
        c.ret();
        c.Label(ref restorer);
        c.mov(eax, (int)SyscallNumber.RtSigreturn);
        c.syscall();
        using var stream = new MemoryStream();
        ulong at = (ulong)s_page + DataBytes;
        AssemblerResult result = c.Assemble(new StreamCodeWriter(stream), at, BlockEncoderOptions.ReturnNewInstructionOffsets);
        stream.ToArray().CopyTo(new Span<byte>((byte*)at, PageBytes - DataBytes));
        Handle(signal, (nint)result.GetLabelRIP(count), (nint)result.GetLabelRIP(restorer));
        Handle(Signal.SIGTRAP, (nint)result.GetLabelRIP(trap), (nint)result.GetLabelRIP(restorer));
    }

    /// <summary>A breakpoint that is gone once it was hit.</summary>
    public static void Break(long at)
    {
        *(long*)s_page = at;
        s_page[ByteAt] = *(byte*)at;
        *(byte*)at = 0xCC;
    }

    /// <summary>Takes away one that was not hit.</summary>
    public static void Clear(long at) => *(byte*)at = s_page[ByteAt];

    private static void Handle(int signal, nint handler, nint restorer)
    {
        var action = new KernelSigaction { Handler = handler, Flags = SignalActionFlags.SigInfo | SignalActionFlags.Restart | SignalActionFlags.Restorer, Restorer = restorer };
        if (Sys.RtSigaction(signal, &action, null) < 0)
        {
            throw new InvalidOperationException("rt_sigaction");
        }
    }
}
