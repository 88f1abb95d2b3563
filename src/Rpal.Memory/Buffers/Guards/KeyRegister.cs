using System.Runtime.Intrinsics.X86;
using Iced.Intel;
using Rpal.Linux;
using static Iced.Intel.AssemblerRegisters;

namespace Rpal.Memory.Buffers.Guards;

/// <summary>PKRU of the calling thread, two bits per key: access denied, writing denied. Emitted on first use; only where the CPU has keys.</summary>
internal static unsafe class KeyRegister
{
    /// <summary>In XSAVE areas: PKRU's number, and where the bits are that say which states are not initial.</summary>
    public const int StateNumber = 9, StatesInUseOffset = 512;

    private const int StatesLeaf = 0xD;

    private static readonly delegate* unmanaged[SuppressGCTransition]<uint, uint, void> s_change = Emit();

    /// <summary>Where a signal's frame has it, from the frame's fpregs. Source: Intel SDM volume 1, 13.5.</summary>
    public static uint FrameOffset => (uint)X86Base.CpuId(StatesLeaf, StateNumber).Ebx;

    /// <summary>Replaces some bits.</summary>
    public static void Change(uint mask, uint bits) => s_change(mask, bits);

    /// <summary>In: edi = mask, esi = bits. Changes rax, rcx, rdx.</summary>
    private static delegate* unmanaged[SuppressGCTransition]<uint, uint, void> Emit()
    {
        const int codeBytes = 4096;
        var c = new Assembler(64);
        c.xor(ecx, ecx);
        c.rdpkru();                                              // eax; clears edx
        c.not(edi);
        c.and(eax, edi);
        c.or(eax, esi);
        c.xor(edx, edx);
        c.wrpkru();
        c.ret();
        nint at = Sys.Mmap(0, codeBytes, Prot.Read | Prot.Write, MapFlags.Private | MapFlags.Anonymous, -1, 0);
        if (at >= 0)
        {
            using var stream = new MemoryStream();
            c.Assemble(new StreamCodeWriter(stream), (ulong)at);
            stream.ToArray().CopyTo(new Span<byte>((void*)at, codeBytes));
            int r = Sys.Mprotect(at, codeBytes, Prot.Read | Prot.Exec);
            at = r < 0 ? r : at;
        }

        return at >= 0 ? (delegate* unmanaged[SuppressGCTransition]<uint, uint, void>)at
            : throw new OwnedBufferException(OwnedBufferError.KernelRefused, $"No executable memory for changing protection keys (mmap, mprotect): {ErrnoText.Describe((int)at)}.");
    }
}
