namespace Rpal.Machine.Blocks;

/// <summary>The emitted routines, as numbered in the family header's address table.</summary>
internal enum Routine
{
    /// <summary><c>int call(ThreadBlock* sender, ReceiverBlock* receiver, CallFrame* frame)</c>: a <see cref="CallResult"/>.</summary>
    Call,

    /// <summary><c>int call_any(ThreadBlock* sender, long place, CallFrame* frame)</c>: as call, to the receiver of the
    /// service that the sender used last; <see cref="CallResult.NotArmed"/> without a sender.</summary>
    CallAny,

    /// <summary><c>void wait(ReceiverBlock*)</c>: parks the calling thread as receiver, until it is stopped.</summary>
    Wait,

    /// <summary><c>int arm(ThreadBlock*)</c>: GS and Syscall User Dispatch for the calling kernel thread; 0 or -errno.</summary>
    Arm,

    /// <summary><c>void agent(MemberBlock*)</c>: does system calls that the host asks of the member's process; never returns.</summary>
    Agent,

    /// <summary><c>ulong tsc()</c>: the time stamp counter.</summary>
    Tsc,

    /// <summary><c>int floor(ThreadBlock*, ReceiverBlock*, CallFrame*, long rounds)</c>: calls in a bare loop; rounds not answered.</summary>
    Floor,

    /// <summary>A handler that returns at once, for <see cref="Floor"/>.</summary>
    EmptyHandler,

    /// <summary><c>int spawn(SpawnBlock*)</c>: clones a member's task; its pid or -errno. For the host.</summary>
    Spawn,

    /// <summary>rt_sigreturn, as SA_RESTORER wants it.</summary>
    Restorer,

    /// <summary><c>nuint copy(void* to, void* from, nuint bytes)</c>: bytes not copied, because memory was not there.</summary>
    Copy,

    /// <summary><c>int add(long* words, nint strideBytes, long value)</c>: to the word of the CPU it runs on; 0, or -1: the kernel does not tell this thread its CPU. This and those below: only in an armed thread.</summary>
    PerCpuAdd,

    /// <summary><c>int push(uint* heads, nint strideBytes, uint* links, uint node)</c>: onto the CPU's list; 0 or -1.</summary>
    PerCpuPush,

    /// <summary><c>long pop(uint* heads, nint strideBytes, uint* links, uint nodes)</c>: the node, -1, -2 empty, -3 the head is no node's.</summary>
    PerCpuPop,

    /// <summary><c>int store(uint* words, nint strideBytes, uint expected, uint value)</c>: compares the first word, stores the second; 0, 1 it differed, or -1.</summary>
    PerCpuStore,

    /// <summary><c>int number()</c>: the CPU, or -1.</summary>
    PerCpuNumber,

    /// <summary><c>int push(byte* lanes, uint cpus, uint* links, uint block, uint limit, uint blocks)</c>: a block of a pool onto the CPU's list; 0, 1 not there, or -1. See Emitter.PerCpuBlocks.</summary>
    PerCpuBlockPush,

    /// <summary><c>(long block, ulong word) pop(byte* lanes, uint cpus, uint* links, ulong* words, uint blocks)</c>: the block on top and its word, Free; or -1, -2 empty, -3 something names no block or none that is free.</summary>
    PerCpuBlockPop,

    Count,
}
