using System.Runtime.Intrinsics.X86;
using Iced.Intel;
using Rpal.Linux;
using Rpal.Machine.Blocks;
using static Iced.Intel.AssemblerRegisters;

namespace Rpal.MachineMember;

/// <summary>Little routines that look at what C# cannot see: all registers of a handler, those that a caller may rely on, a raw signal handler.</summary>
internal static unsafe class Routines
{
    /// <summary>What <see cref="RegisterHandler"/> does between loading and storing the registers: the frame's method.</summary>
    public const int Nothing = 0, LazyCall = 1, CallInPlace = 2, UntilEvicted = 3;

    /// <summary>The register image: 32 vector registers of 64 bytes, 8 mask registers, 11 general ones, MXCSR and x87 control word.</summary>
    public const int MasksOffset = 32 * 64, GeneralOffset = MasksOffset + 8 * 8, GeneralCount = 11, MxcsrOffset = GeneralOffset + GeneralCount * 8, X87Offset = MxcsrOffset + 4, ImageBytes = 2304;

    private const int EvictionLooks = 1 << 27, GetPid = 39, GetTid = 186, SchedYield = 24, SigQueueValue = 24;

    private static readonly AssemblerRegister64[] s_general = [rbx, rbp, r12, r13, r14, r15, r8, r9, r10, rdx, rsi];

    public static bool HasAvx512 => Avx512F.IsSupported && Avx512BW.IsSupported;

    /// <summary>
    /// A handler: loads every register from the request, does what the method says, stores every register to the answer.
    /// In: rdi = frame, rsi = receiver. rdi stays; rax, rcx and r11 are not looked at.
    /// </summary>
    public static nint RegisterHandler() => Emit(static c =>
    {
        foreach (AssemblerRegister64 r in (ReadOnlySpan<AssemblerRegister64>)[rbx, rbp, r12, r13, r14, r15])
        {
            c.push(r);
        }

        Label lazy = c.CreateLabel(), inPlace = c.CreateLabel(), spin = c.CreateLabel(), look = c.CreateLabel(), done = c.CreateLabel();
        c.mov(rcx, rsi);
        c.mov(rax, __qword_ptr[rdi + 8]);
        Vectors(c, rax, store: false);
        for (int i = 0; i < s_general.Length; i++)
        {
            c.mov(s_general[i], __qword_ptr[rax + GeneralOffset + i * 8]);
        }

        c.cmp(__dword_ptr[rdi], LazyCall);
        c.je(lazy);
        c.cmp(__dword_ptr[rdi], CallInPlace);
        c.je(inPlace);
        c.cmp(__dword_ptr[rdi], UntilEvicted);
        c.je(spin);
        c.jmp(done);
        c.Label(ref lazy);
        c.mov(eax, GetPid);
        c.syscall();
        c.jmp(done);
        c.Label(ref inPlace);
        c.mov(eax, SchedYield);
        c.syscall();
        c.jmp(done);
        c.Label(ref spin);
        c.mov(r11, __qword_ptr[rcx + ReceiverBlock.LazyOffset]);
        c.mov(eax, EvictionLooks);
        c.Label(ref look);
        c.cmp(r11, __qword_ptr[rcx + ReceiverBlock.LazyOffset]);
        c.jne(done);
        c.dec(eax);
        c.jne(look);
        c.Label(ref done);
        c.mov(rax, __qword_ptr[rdi + 24]);
        for (int i = 0; i < s_general.Length; i++)
        {
            c.mov(__qword_ptr[rax + GeneralOffset + i * 8], s_general[i]);
        }

        Vectors(c, rax, store: true);
        c.stmxcsr(__dword_ptr[rax + MxcsrOffset]);
        c.fnstcw(__word_ptr[rax + X87Offset]);
        c.vzeroupper();
        foreach (AssemblerRegister64 r in (ReadOnlySpan<AssemblerRegister64>)[r15, r14, r13, r12, rbp, rbx])
        {
            c.pop(r);
        }

        c.ret();
    });

    /// <summary>
    /// <c>int checked_call(sender, receiver, frame, call)</c>: calls with known values in everything that a callee must keep and an
    /// unusual rounding mode. Out: the call's result, | 1 &lt;&lt; 16 when a register changed, | 1 &lt;&lt; 17 MXCSR, | 1 &lt;&lt; 18 x87 control, | 1 &lt;&lt; 19 DF.
    /// </summary>
    public static nint CheckedCall() => Emit(static c =>
    {
        (AssemblerRegister64 Register, long Value)[] kept =
            [(rbx, 0x1111_2222_3333_4444), (rbp, 0x5555_6666_7777_0888), (r12, -2), (r13, 0x0102_0304_0506_0708), (r14, long.MinValue), (r15, 0x7FFF_0000_FFFF_0001)];
        const int mxcsr = 0x7F80, x87 = 0x0F7F;                  // round toward zero and all masked; the default is 1F80 and 037F
        foreach ((AssemblerRegister64 r, _) in kept)
        {
            c.push(r);
        }

        c.sub(rsp, 24);                                          // 0 mxcsr, 4 x87, 8 mxcsr before, 12 x87 before
        c.stmxcsr(__dword_ptr[rsp + 8]);
        c.fnstcw(__word_ptr[rsp + 12]);
        c.mov(__dword_ptr[rsp], mxcsr);
        c.mov(__dword_ptr[rsp + 4], x87);
        c.ldmxcsr(__dword_ptr[rsp]);
        c.fldcw(__word_ptr[rsp + 4]);
        c.mov(rax, rcx);
        foreach ((AssemblerRegister64 r, long value) in kept)
        {
            c.mov(r, value);
        }

        c.call(rax);
        foreach ((AssemblerRegister64 r, long value) in kept)
        {
            Label same = c.CreateLabel();
            c.mov(rcx, value);
            c.cmp(rcx, r);
            c.je(same);
            c.or(eax, 1 << 16);
            c.Label(ref same);
            c.nop();
        }

        Label mxcsrSame = c.CreateLabel(), x87Same = c.CreateLabel(), forward = c.CreateLabel();
        c.stmxcsr(__dword_ptr[rsp]);
        c.mov(ecx, __dword_ptr[rsp]);
        c.and(ecx, ~0x3F);                                       // the flags are nobody's
        c.cmp(ecx, mxcsr);
        c.je(mxcsrSame);
        c.or(eax, 1 << 17);
        c.Label(ref mxcsrSame);
        c.fnstcw(__word_ptr[rsp + 4]);
        c.movzx(ecx, __word_ptr[rsp + 4]);
        c.cmp(ecx, x87);
        c.je(x87Same);
        c.or(eax, 1 << 18);
        c.Label(ref x87Same);
        c.pushfq();
        c.pop(rcx);
        c.test(ecx, 0x400);
        c.je(forward);
        c.or(eax, 1 << 19);
        c.Label(ref forward);
        c.cld();
        c.ldmxcsr(__dword_ptr[rsp + 8]);
        c.fldcw(__word_ptr[rsp + 12]);
        c.add(rsp, 24);
        foreach ((AssemblerRegister64 r, _) in kept.Reverse())
        {
            c.pop(r);
        }

        c.ret();
    });

    /// <summary>
    /// A signal handler: counts the signal and its value, and checks that it runs in this process with its own thread's FS. Not
    /// C#: it interrupts managed code, where C# must not be entered.
    /// </summary>
    public static nint CountingSignalHandler(Arena* arena) => Emit(c =>
    {
        Label misplaced = c.CreateLabel();
        c.mov(r8, (long)arena);
        c.mov(eax, __dword_ptr[rsi + SigQueueValue]);
        c.and(eax, Arena.ValueCapacity - 1);
        c.@lock.inc(__dword_ptr[r8 + rax * 4 + Arena.ValuesOffset]);
        c.mov(eax, GetPid);
        c.syscall();
        c.cmp(eax, Environment.ProcessId);
        c.jne(misplaced);
        c.mov(eax, GetTid);
        c.syscall();
        c.cmp(eax, __dword_ptr.fs[FindThreadId()]);
        c.jne(misplaced);
        c.@lock.inc(__qword_ptr[r8 + Arena.HandledOffset]);
        c.ret();
        c.Label(ref misplaced);
        c.@lock.inc(__qword_ptr[r8 + Arena.MisplacedOffset]);
        c.@lock.inc(__qword_ptr[r8 + Arena.HandledOffset]);
        c.ret();
    });

    /// <summary>Where this libc keeps the calling thread's id, from FS.</summary>
    private static int FindThreadId()
    {
        const int archGetFs = 0x1003, searchBytes = 0x400;
        nint fs;
        _ = Sys.Invoke(SyscallNumber.ArchPrctl, archGetFs, (nint)(&fs));
        int tid = Sys.GetTid();
        nint block = fs;
        return Enumerable.Range(0, searchBytes / sizeof(int)).Select(i => i * sizeof(int)).First(offset => *(int*)(block + offset) == tid);
    }

    private static void Vectors(Assembler c, AssemblerRegister64 image, bool store)
    {
        AssemblerRegisterZMM[] zmm =
        [
            zmm0, zmm1, zmm2, zmm3, zmm4, zmm5, zmm6, zmm7, zmm8, zmm9, zmm10, zmm11, zmm12, zmm13, zmm14, zmm15,
            zmm16, zmm17, zmm18, zmm19, zmm20, zmm21, zmm22, zmm23, zmm24, zmm25, zmm26, zmm27, zmm28, zmm29, zmm30, zmm31,
        ];
        AssemblerRegisterYMM[] ymm = [ymm0, ymm1, ymm2, ymm3, ymm4, ymm5, ymm6, ymm7, ymm8, ymm9, ymm10, ymm11, ymm12, ymm13, ymm14, ymm15];
        AssemblerRegisterK[] k = [k0, k1, k2, k3, k4, k5, k6, k7];
        for (int i = 0; i < (HasAvx512 ? zmm.Length : ymm.Length); i++)
        {
            AssemblerMemoryOperand where = __[image + i * 64];
            if (HasAvx512 && store)
            {
                c.vmovdqu64(where, zmm[i]);
            }
            else if (HasAvx512)
            {
                c.vmovdqu64(zmm[i], where);
            }
            else if (store)
            {
                c.vmovdqu(where, ymm[i]);
            }
            else
            {
                c.vmovdqu(ymm[i], where);
            }
        }

        for (int i = 0; HasAvx512 && i < k.Length; i++)
        {
            if (store)
            {
                c.kmovq(__qword_ptr[image + MasksOffset + i * 8], k[i]);
            }
            else
            {
                c.kmovq(k[i], __qword_ptr[image + MasksOffset + i * 8]);
            }
        }
    }

    private static nint Emit(Action<Assembler> body)
    {
        const int pageBytes = 4096;
        var assembler = new Assembler(64);
        body(assembler);
        nint page = Sys.Mmap(0, pageBytes, Prot.Read | Prot.Write, MapFlags.Private | MapFlags.Anonymous, -1, 0);
        using var stream = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(stream), (ulong)page);
        stream.ToArray().CopyTo(new Span<byte>((void*)page, pageBytes));
        return Sys.Mprotect(page, pageBytes, Prot.Read | Prot.Exec) < 0 ? throw new InvalidOperationException("mprotect") : page;
    }
}
