using System.Runtime.Intrinsics.X86;
using Rpal.Linux;
using Rpal.Machine.Blocks;
using Rpal.Machine.Emit;

namespace Rpal.Hosting.Death;

/// <summary>A user context taken from a kernel thread: its registers and extended state, from ptrace(2) or from a signal frame.</summary>
internal sealed unsafe class SavedContext
{
    /// <summary>Room for the extended state of any x86-64 of today; AMX needs 11 KiB.</summary>
    private const int XstateCapacityBytes = 16 << 10;

    /// <summary>FXSAVE, the part that every frame has; behind it the XSAVE header.</summary>
    private const int FxsaveBytes = 512, XsaveHeaderBytes = 64;

    /// <summary>FP_XSTATE_MAGIC2, behind the extended state of a frame. Source: asm/sigcontext.h.</summary>
    private const uint XstateEndMagic = 0x46505845;

    /// <summary>uc_flags of a 64-bit frame: UC_FP_XSTATE, UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS. Source: asm/ucontext.h.</summary>
    private const ulong FrameFlags = 7;

    /// <summary>x87 and SSE control as a process starts with them. Source: System V ABI, x86-64.</summary>
    public const uint InitialMxcsr = 0x1F80;
    public const ushort InitialX87Control = 0x37F;

    /// <summary>Where MXCSR lies in FXSAVE.</summary>
    private const int FxsaveMxcsr = 24;

    /// <summary>What a system call that a signal interrupted left in rax, inside the kernel: it runs again. Source: linux/errno.h.</summary>
    private const int RestartSys = -512, RestartNoIntr = -513, RestartNoHand = -514, RestartBlock = -516;

    private const int InitialFlags = 2, SystemCallBytes = 2;

    private static readonly int s_xstateBytes = StandardXstateBytes();

    private UserRegisters _registers;
    private readonly byte[] _xstate;

    private SavedContext(in UserRegisters registers, byte[] xstate) => (_registers, _xstate) = (registers, xstate);

    public long Rip
    {
        get => _registers.Rip;
        set => _registers.Rip = value;
    }

    public ref readonly UserRegisters Registers => ref _registers;

    /// <summary>SSE control and status.</summary>
    public uint Mxcsr => BitConverter.ToUInt32(_xstate, FxsaveMxcsr);

    /// <summary>x87 control word.</summary>
    public ushort X87Control => BitConverter.ToUInt16(_xstate, 0);

    /// <summary>Of a thread in a ptrace stop that executes a foreign context.</summary>
    /// <param name="tid">The thread.</param>
    /// <param name="mayCall">Whether code at an address makes its system calls itself while foreign.</param>
    /// <returns>Null when the kernel does not tell.</returns>
    public static SavedContext? OfThread(int tid, Func<long, bool> mayCall)
    {
        UserRegisters r;
        byte[] xstate = new byte[XstateCapacityBytes];
        int length;
        fixed (byte* p = xstate)
        {
            length = Sys.PtraceGetRegisters(tid, RegisterSet.X86Xstate, p, xstate.Length);
        }

        if (length < FxsaveBytes + XsaveHeaderBytes || Sys.PtraceGetRegisters(tid, RegisterSet.Prstatus, &r, UserRegisters.SizeBytes) != UserRegisters.SizeBytes)
        {
            return null;
        }

        bool inCall = r.OriginalRax >= 0;
        if (inCall && (!mayCall(r.Rip) || (int)r.Rax is RestartSys or RestartNoIntr or RestartNoHand))
        {
            r.Rip -= SystemCallBytes;                            // dispatched to the trampoline and not run, or to be run again
            r.Rax = r.OriginalRax;
        }
        else if (inCall && (int)r.Rax == RestartBlock)
        {
            r.Rax = -(int)Errno.EINTR;
        }

        int size = Math.Min(length, s_xstateBytes);
        ulong features = BitConverter.ToUInt64(xstate, SignalFrame.FxsaveMagic1);       // the kernel's mask, where a frame has magic and size
        BitConverter.TryWriteBytes(xstate.AsSpan(SignalFrame.FxsaveMagic1), SignalFrame.FxsaveMagic1Value);
        BitConverter.TryWriteBytes(xstate.AsSpan(SignalFrame.FxsaveExtendedSize), size + sizeof(uint));
        BitConverter.TryWriteBytes(xstate.AsSpan(SignalFrame.FxsaveXfeatures), features);
        BitConverter.TryWriteBytes(xstate.AsSpan(SignalFrame.FxsaveXstateSize), size);
        BitConverter.TryWriteBytes(xstate.AsSpan(size), XstateEndMagic);
        return new SavedContext(r, xstate[..(size + sizeof(uint))]);
    }

    /// <summary>Memory of this address space, at an address that a member's register or word says.</summary>
    /// <returns>False: not all of it is mapped.</returns>
    public static bool TryRead(nint address, void* to, int lengthBytes) =>
        Sys.ProcessVmReadv(Environment.ProcessId, address, to, (nuint)lengthBytes) == lengthBytes;

    /// <summary>What a signal frame in this address space holds; null when none can lie there.</summary>
    public static SavedContext? OfFrame(nint ucontext)
    {
        byte* frame = stackalloc byte[SignalFrame.UcontextSizeBytes];
        byte[] fp = new byte[FxsaveBytes];
        if (!TryRead(ucontext, frame, SignalFrame.UcontextSizeBytes) || !TryRead(*(nint*)(frame + SignalFrame.FpRegs), fp))
        {
            return null;
        }

        if (BitConverter.ToUInt32(fp, SignalFrame.FxsaveMagic1) == SignalFrame.FxsaveMagic1Value)
        {
            uint length = BitConverter.ToUInt32(fp, SignalFrame.FxsaveExtendedSize);
            fp = new byte[Math.Clamp(length, FxsaveBytes, XstateCapacityBytes)];
            if (!TryRead(*(nint*)(frame + SignalFrame.FpRegs), fp))
            {
                return null;
            }
        }

        long At(int offset) => *(long*)(frame + offset);
        return new SavedContext(new UserRegisters
        {
            R8 = At(SignalFrame.R8),
            R9 = At(SignalFrame.R9),
            R10 = At(SignalFrame.R10),
            R11 = At(SignalFrame.R11),
            R12 = At(SignalFrame.R12),
            R13 = At(SignalFrame.R13),
            R14 = At(SignalFrame.R14),
            R15 = At(SignalFrame.R15),
            Rdi = At(SignalFrame.Rdi),
            Rsi = At(SignalFrame.Rsi),
            Rbp = At(SignalFrame.Rbp),
            Rbx = At(SignalFrame.Rbx),
            Rdx = At(SignalFrame.Rdx),
            Rax = At(SignalFrame.Rax),
            Rcx = At(SignalFrame.Rcx),
            Rsp = At(SignalFrame.Rsp),
            Rip = At(SignalFrame.Rip),
            Eflags = At(SignalFrame.Eflags),
            Cs = At(SignalFrame.Csgsfs) & 0xFFFF,
            Ss = At(SignalFrame.Csgsfs) >> 48 & 0xFFFF,
        }, fp);
    }

    private static bool TryRead(nint address, byte[] to)
    {
        fixed (byte* p = to)
        {
            return TryRead(address, p, to.Length);
        }
    }

    /// <summary>The control words in a receiver's frame.</summary>
    public static (uint Mxcsr, ushort X87Control) ControlWordsOf(ReceiverBlock* r)
    {
        byte* fp = BlockAddress.FrameAreaOf(r) + Emitter.FrameXstateOffset;
        return (*(uint*)(fp + FxsaveMxcsr), *(ushort*)fp);
    }

    /// <summary>A context that begins at <paramref name="rip"/>, with the control words of <paramref name="like"/>.</summary>
    public static SavedContext At(long rip, long rsp, long rbx, SavedContext? like)
    {
        const int userCode = 0x33, userData = 0x2B;
        byte[] fx = new byte[FxsaveBytes];
        BitConverter.TryWriteBytes(fx, like?.X87Control ?? InitialX87Control);
        BitConverter.TryWriteBytes(fx.AsSpan(FxsaveMxcsr), like?.Mxcsr ?? InitialMxcsr);
        return new SavedContext(new UserRegisters { Rip = rip, Rsp = rsp, Rbx = rbx, Eflags = InitialFlags, Cs = userCode, Ss = userData }, fx);
    }

    /// <summary>In the middle of a call's entry: this context makes the call again.</summary>
    public SavedContext CallAgain(long retry, ThreadBlock* sender)
    {
        (_registers.Rip, _registers.Rsp, _registers.Rdi) = (retry, sender->Rsp, (nint)sender);
        return this;
    }

    /// <summary>For a context that Syscall User Dispatch stopped behind a system call.</summary>
    public void RunSystemCallAgain(int number)
    {
        _registers.Rip -= SystemCallBytes;
        _registers.Rax = number;
    }

    /// <summary>The frame in a receiver's area from which its own kernel thread goes on. That writes mask and alternate stack itself.</summary>
    public void WriteFrame(ReceiverBlock* r)
    {
        byte* frame = BlockAddress.FrameAreaOf(r), fp = frame + Emitter.FrameXstateOffset;
        new Span<byte>(frame, SignalFrame.UcontextSizeBytes).Clear();
        void Put(int offset, long value) => *(long*)(frame + offset) = value;
        Put(SignalFrame.UcFlags, (long)FrameFlags);
        Put(SignalFrame.R8, _registers.R8);
        Put(SignalFrame.R9, _registers.R9);
        Put(SignalFrame.R10, _registers.R10);
        Put(SignalFrame.R11, _registers.R11);
        Put(SignalFrame.R12, _registers.R12);
        Put(SignalFrame.R13, _registers.R13);
        Put(SignalFrame.R14, _registers.R14);
        Put(SignalFrame.R15, _registers.R15);
        Put(SignalFrame.Rdi, _registers.Rdi);
        Put(SignalFrame.Rsi, _registers.Rsi);
        Put(SignalFrame.Rbp, _registers.Rbp);
        Put(SignalFrame.Rbx, _registers.Rbx);
        Put(SignalFrame.Rdx, _registers.Rdx);
        Put(SignalFrame.Rax, _registers.Rax);
        Put(SignalFrame.Rcx, _registers.Rcx);
        Put(SignalFrame.Rsp, _registers.Rsp);
        Put(SignalFrame.Rip, _registers.Rip);
        Put(SignalFrame.Eflags, _registers.Eflags);
        Put(SignalFrame.Csgsfs, (_registers.Cs & 0xFFFF) | (_registers.Ss & 0xFFFF) << 48);
        Put(SignalFrame.FpRegs, (long)fp);
        _xstate.CopyTo(new Span<byte>(fp, FamilyLayout.ParkingFrameBytes - Emitter.FrameXstateOffset));
        Volatile.Write(ref *(nint*)&r->Frame, (nint)frame);
    }

    /// <summary>Size of the extended state as frames have it: of all features but those that a process must ask for (AMX). Source: Intel SDM 1, 13.2, CPUID leaf 0xD.</summary>
    private static int StandardXstateBytes()
    {
        const int leaf = 0xD, firstExtended = 2, tileConfiguration = 17, tileData = 18, features = 63;
        const int least = FxsaveBytes + XsaveHeaderBytes;
        int size = least;
        (int low, _, _, int high) = X86Base.CpuId(leaf, 0);
        ulong enabled = (uint)low | (ulong)(uint)high << 32;
        for (int i = firstExtended; i < features; i++)
        {
            if ((enabled >> i & 1) != 0 && i is not (tileConfiguration or tileData))
            {
                (int bytes, int offset, int kind, _) = X86Base.CpuId(leaf, i);
                size = (kind & 1) == 0 ? Math.Max(size, offset + bytes) : size;          // bit 0: supervisor state, not in frames
            }
        }

        return size;
    }
}
