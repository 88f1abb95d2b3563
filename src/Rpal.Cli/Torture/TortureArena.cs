using System.Runtime.InteropServices;
using System.Text;
using Rpal.Linux;

namespace Rpal.Cli.Torture;

/// <summary>What host and members of a torture run know of each other: memory of the host, which every member can see. A killed caller's counts stay.</summary>
/// <remarks><code>
///      0 stop u32   4 pause u32   8 wrong texts u32   16 PeerDied samples u64
///    256 member places, 128 bytes each: callees first, callers from 16 on
///   8192 call places, 256 bytes each: caller * 8 + thread
///  65536 wrong texts, 512 bytes each
/// 131072 PeerDied samples u32: microseconds, deed from bit 26 on
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct TortureArena
{
    public const int GroupCapacity = 16, ThreadCapacity = 8, TextCapacity = 32, TextBytes = 512, SampleCapacity = 1 << 17;
    public const int MembersOffset = 256, CallsOffset = 8192, TextsOffset = 65536, SamplesOffset = 131072;
    public const int SizeBytes = SamplesOffset + SampleCapacity * sizeof(uint);

    private const int SampleDeedShift = 26, SampleMask = (1 << SampleDeedShift) - 1;

    /// <summary>Members end.</summary>
    [FieldOffset(0)] public uint Stop;

    /// <summary>Callers make no further calls.</summary>
    [FieldOffset(4)] public uint Pause;

    [FieldOffset(8)] public uint Texts;

    [FieldOffset(16)] public ulong Samples;

    public static TortureArena* Create()
    {
        const nuint page = 4096;
        var arena = (TortureArena*)NativeMemory.AlignedAlloc(SizeBytes, page);
        NativeMemory.Clear(arena, SizeBytes);
        return arena;
    }

    public static MemberPlace* Callee(TortureArena* arena, int index) => (MemberPlace*)((byte*)arena + MembersOffset) + index;

    public static MemberPlace* Caller(TortureArena* arena, int index) => Callee(arena, GroupCapacity + index);

    public static CallPlace* Call(TortureArena* arena, int caller, int thread) => (CallPlace*)((byte*)arena + CallsOffset) + caller * ThreadCapacity + thread;

    /// <summary>What the warm-up counted does not count. While nobody calls.</summary>
    public static void ClearFigures(TortureArena* arena)
    {
        for (int i = 0; i < GroupCapacity * ThreadCapacity; i++)
        {
            CallPlace* place = Call(arena, i / ThreadCapacity, i % ThreadCapacity);
            *place = new CallPlace { Wrong = place->Wrong };      // but a wrong answer is one
        }

        Volatile.Write(ref arena->Samples, 0);
    }

    /// <summary>Microseconds from a kill until a sender inside was told, and above them what was being done for it.</summary>
    public static void AddSample(TortureArena* arena, long ns, Deed deed)
    {
        ulong i = Interlocked.Increment(ref arena->Samples) - 1;
        if (i < SampleCapacity)
        {
            ((uint*)((byte*)arena + SamplesOffset))[i] = (uint)deed << SampleDeedShift | (uint)Math.Clamp(ns / 1000, 0, SampleMask);
        }
    }

    public static (Deed Deed, double Ms)[] SamplesOf(TortureArena* arena) =>
        [.. new ReadOnlySpan<uint>((byte*)arena + SamplesOffset, (int)Math.Min(Volatile.Read(ref arena->Samples), SampleCapacity)).ToArray()
            .Select(s => ((Deed)(s >> SampleDeedShift), (s & SampleMask) / 1000.0))];

    /// <summary>Says what was wrong; the first ones are kept.</summary>
    public static void Wrong(TortureArena* arena, string text)
    {
        uint i = Interlocked.Increment(ref arena->Texts) - 1;
        if (i < TextCapacity)
        {
            byte[] utf8 = Encoding.UTF8.GetBytes($"{Sys.GetPid()}: {text}");
            utf8.AsSpan(0, Math.Min(utf8.Length, TextBytes - 1)).CopyTo(new Span<byte>((byte*)arena + TextsOffset + i * TextBytes, TextBytes));
        }
    }

    public static string[] TextsOf(TortureArena* arena) =>
        [.. Enumerable.Range(0, (int)Math.Min(Volatile.Read(ref arena->Texts), TextCapacity))
            .Select(i => Encoding.UTF8.GetString(new ReadOnlySpan<byte>((byte*)arena + TextsOffset + i * TextBytes, TextBytes)).TrimEnd('\0'))];
}

/// <summary>One member over all its processes.</summary>
[StructLayout(LayoutKind.Explicit, Size = 128)]
internal struct MemberPlace
{
    /// <summary>Processes so far; written by each when it begins.</summary>
    [FieldOffset(0)] public ulong Incarnation;

    /// <summary>The last process that has all its services and handlers.</summary>
    [FieldOffset(8)] public ulong Ready;

    /// <summary>Written by the host before it ends a process: calls to it, and to earlier ones, may end with PeerDied.</summary>
    [FieldOffset(16)] public ulong MayDie;

    /// <summary>When the host killed it, CLOCK_MONOTONIC in ns.</summary>
    [FieldOffset(24)] public long KilledNs;

    [FieldOffset(32)] public ulong SignalsHandled;

    [FieldOffset(40)] public ulong Collections;

    /// <summary>Nested calls by outcome: answered, busy, peer died, closed or no service.</summary>
    [FieldOffset(48)] public ulong NestedAnswered;
    [FieldOffset(56)] public ulong NestedBusy;
    [FieldOffset(64)] public ulong NestedPeerDied;
    [FieldOffset(72)] public ulong NestedClosed;

    /// <summary>Wrong answers to its own calls, and wrong requests that came to it.</summary>
    [FieldOffset(80)] public ulong Wrong;

    /// <summary>Services that were registered, enabled and closed again.</summary>
    [FieldOffset(88)] public ulong Churned;

    /// <summary>The last process that was called, or was answered: written by its callers, and by itself.</summary>
    [FieldOffset(96)] public ulong WorkedIncarnation;
}

/// <summary>One line of callers over all its processes: the call that it is in, and its counts. One thread of a line calls at a
/// time.</summary>
[StructLayout(LayoutKind.Explicit, Size = 256)]
internal struct CallPlace
{
    /// <summary>When the call began, CLOCK_MONOTONIC in ns; 0: in none.</summary>
    [FieldOffset(0)] public long StartedNs;
    [FieldOffset(8)] public ulong Sequence;
    [FieldOffset(16)] public ulong Incarnation;
    [FieldOffset(24)] public int Callee;
    [FieldOffset(28)] public Deed Deed;
    [FieldOffset(32)] public int DeadlineMs;
    [FieldOffset(36)] public int Way;

    [FieldOffset(64)] public ulong Calls;
    [FieldOffset(72)] public ulong Answered;
    [FieldOffset(80)] public ulong Busy;
    [FieldOffset(88)] public ulong PeerDied;
    [FieldOffset(96)] public ulong Closed;
    [FieldOffset(104)] public ulong RemoteExceptions;
    [FieldOffset(112)] public ulong Canceled;
    [FieldOffset(120)] public ulong Wrong;
    [FieldOffset(128)] public long LongestNs;

    /// <summary>Calls whose caller was killed in them; written by the host.</summary>
    [FieldOffset(136)] public ulong Abandoned;

    /// <summary>Answers that named the process which the kernel took the handler for.</summary>
    [FieldOffset(144)] public ulong Identities;

    /// <summary>Stretches of calls by who made them: see <see cref="Carrier"/>.</summary>
    [FieldOffset(152)] public ulong Heirs;
    [FieldOffset(160)] public ulong PoolThreads;
    [FieldOffset(168)] public ulong TimerThreads;
    [FieldOffset(176)] public ulong Continuations;
}
