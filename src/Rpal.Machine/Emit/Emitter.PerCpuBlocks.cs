using Rpal.Machine.Blocks;
using static Iced.Intel.AssemblerRegisters;

namespace Rpal.Machine.Emit;

internal sealed partial class Emitter
{
    /// <summary>From one CPU's lane of a block pool to the next's.</summary>
    internal const int BlockLaneStrideBytes = 1 << BlockLaneShift;

    /// <summary>Bits that a word's lowest byte, the state, may have while its block is on a list: none for Free, this one for Releasing.</summary>
    internal const int BlockStateReleasing = 2;

    /// <summary>What a push says: on the list; not, because that is as long as it may be or its head names no block.</summary>
    internal const int BlockPushed = 0, BlockNotPushed = 1;

    private const byte BlockLaneShift = 7;

    /// <summary>
    /// rdi = CPU 0's lane, esi = how many CPUs have one, rdx = links u32[], ecx = block, r8d = most blocks of a list, r9d = blocks of the pool.
    /// Out: eax = 0, 1 not pushed, -1 the thread is not registered, or its CPU has no lane.
    /// </summary>
    /// <remarks>A lane's word: 0..31 top block + 1, or 0 | 32..63 length. One store commits both.</remarks>
    private void EmitPerCpuBlockPush()
    {
        Begin(Routine.PerCpuBlockPush, "percpu_block_push");
        BeginSection("percpu_block_push");
        c.cmp(eax, esi);
        c.jae(L("percpu_block_push_no_cpu"));
        c.shl(rax, BlockLaneShift);
        c.mov(ecx, ecx);                                         // the upper half is the caller's
        c.mov(r10, __qword_ptr[rdi + rax]);
        c.mov(r11d, r10d);
        c.cmp(r11d, r9d);
        c.ja(L("percpu_block_push_not"));
        c.shr(r10, 32);
        c.cmp(r10d, r8d);
        c.jae(L("percpu_block_push_not"));
        c.mov(__dword_ptr[rdx + rcx * 4], r11d);
        c.inc(r10d);
        c.shl(r10, 32);
        c.lea(r11d, __[rcx + 1]);
        c.or(r10, r11);
        c.mov(__qword_ptr[rdi + rax], r10);
        EndSection("percpu_block_push");
        c.xor(eax, eax);
        c.ret();
        Here("percpu_block_push_not");
        c.mov(eax, BlockNotPushed);
        c.ret();
        EmitAbort("percpu_block_push");
    }

    /// <summary>
    /// rdi = CPU 0's lane, esi = how many CPUs have one, rdx = links u32[], rcx = words u64[], r8d = blocks of the pool. Out: rax = the block and
    /// rdx = its word, Free; or rax = -1 not registered or no lane, -2 empty, -3 the head, the block's state or its link makes no sense: nothing was changed.
    /// </summary>
    /// <remarks>
    /// The word becomes Free here, by an ordinary store: a block on a CPU's list is Releasing, its releaser has no more to do with it, and while it is on top nobody
    /// but sections of this CPU changes its word. A section that starts again finds it Free, and still on top. Source: docs/adr/0019, models/pool.pml.
    /// </remarks>
    private void EmitPerCpuBlockPop()
    {
        Begin(Routine.PerCpuBlockPop, "percpu_block_pop");
        BeginSection("percpu_block_pop");
        c.cmp(eax, esi);
        c.jae(L("percpu_block_pop_no_cpu"));
        c.shl(rax, BlockLaneShift);
        c.mov(r10, __qword_ptr[rdi + rax]);
        c.mov(r11d, r10d);
        c.sub(r11d, 1);
        c.jb(L("percpu_block_pop_empty"));
        c.cmp(r11d, r8d);
        c.jae(L("percpu_block_pop_corrupt"));
        c.mov(r9d, __dword_ptr[rdx + r11 * 4]);
        c.cmp(r9d, r8d);
        c.ja(L("percpu_block_pop_corrupt"));
        c.shr(r10, 32);
        c.dec(r10d);
        c.shl(r10, 32);
        c.or(r10, r9);
        c.test(r9d, r9d);
        c.cmovz(r10, r9);                                        // an empty list has length 0, whatever was written there
        c.mov(r9, __qword_ptr[rcx + r11 * 8]);
        c.test(r9b, 0xFF & ~BlockStateReleasing);
        c.jnz(L("percpu_block_pop_corrupt"));
        c.shr(r9, 32);
        c.shl(r9, 32);                                           // Free: of its parts only the sequence
        c.mov(__qword_ptr[rcx + r11 * 8], r9);
        c.mov(__qword_ptr[rdi + rax], r10);
        EndSection("percpu_block_pop");
        c.mov(eax, r11d);
        c.mov(rdx, r9);
        c.ret();
        Here("percpu_block_pop_empty");
        c.mov(rax, PopEmpty);
        c.ret();
        Here("percpu_block_pop_corrupt");
        c.mov(rax, PopCorrupt);
        c.ret();
        EmitAbort("percpu_block_pop");
    }
}
