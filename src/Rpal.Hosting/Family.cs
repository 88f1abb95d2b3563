using System.Diagnostics;
using System.Runtime.InteropServices;
using Rpal.Hosting.Broker;
using Rpal.Linux;
using Rpal.Machine.Blocks;
using Rpal.Machine.Emit;

namespace Rpal.Hosting;

/// <summary>The address space of a family in this process: the shared region, the machine code, the guard above brk. One per process.</summary>
internal sealed unsafe class Family
{
    private static readonly Lock s_lock = new();
    private static Family? s_family;

    /// <summary>The longest that a side spins before it sleeps, in microseconds: about what waking a sleeping CPU costs (20 to 50 us measured).</summary>
    public const int SpinLimitUs = 50;

    private Family(bool inject)
    {
        _tcbTidOffset = FindTcbTid();
        Code = MachineCode.Assemble(inject, _tcbTidOffset);
        GuardBrk();
        MapRegions();
        Directory = new ServiceDirectory();
    }

    private readonly int _tcbTidOffset;

    public MachineCode Code { get; }

    public ServiceDirectory Directory { get; }

    /// <summary>This process's family, created on first use.</summary>
    /// <param name="inject">Test builds of the machine code, see <see cref="Emitter"/>.</param>
    /// <exception cref="MemberStartException">The kernel refused a mapping.</exception>
    public static Family GetOrCreate(bool inject = false)
    {
        lock (s_lock)
        {
            return s_family ??= new Family(inject);
        }
    }

    /// <summary>All members share one brk. A page above it makes every libc use mmap, which has an owner.</summary>
    private static void GuardBrk()
    {
        long end = (Sys.Invoke(SyscallNumber.Brk) + 4095) & -4096;
        nint r = Sys.Mmap((nint)end, 4096, Prot.None, MapFlags.Private | MapFlags.Anonymous | MapFlags.FixedNoreplace, -1, 0);
        if (r < 0 && r != -(int)Errno.EEXIST)
        {
            throw new MemberStartException(125, $"Cannot guard the brk area at 0x{end:x}: {ErrnoText.Describe((int)r)}.");
        }
    }

    private void MapRegions()
    {
        MapFixed(FamilyLayout.FamilyBase, FamilyLayout.HeaderRegionBytes, Prot.Read | Prot.Write);
        MapFixed(FamilyLayout.CodeBase, FamilyLayout.CodeBytes, Prot.Read | Prot.Write);
        Code.Bytes.CopyTo(new Span<byte>((void*)FamilyLayout.CodeBase, (int)FamilyLayout.CodeBytes));
        int r = Sys.Mprotect(unchecked((nint)FamilyLayout.CodeBase), (nuint)FamilyLayout.CodeBytes, Prot.Read | Prot.Exec);
        if (r < 0)
        {
            throw new MemberStartException(125, $"Cannot make the family's machine code executable: {ErrnoText.Describe(r)}. A security policy that forbids turning written pages executable also forbids a family.");
        }

        FamilyHeader* h = FamilyHeader.At;
        foreach ((Routine routine, long address) in Code.Routines)
        {
            h->Routines[(int)routine] = address;
        }

        for (int m = 0; m < FamilyLayout.MemberCapacity; m++)
        {
            h->Trampolines[m] = Code.Trampolines[m];
        }

        h->AbiVersion = FamilyLayout.AbiVersion;
        h->TcbTidOffset = _tcbTidOffset;
        h->HostPid = Environment.ProcessId;
        h->CodeBase = unchecked((nint)FamilyLayout.CodeBase);
        h->CodeLengthBytes = FamilyLayout.CodeBytes;
        h->TscPerSecond = MeasureTsc(h);
        h->SpinLimitCycles = CpuBudget.MaySpin() ? (uint)(h->TscPerSecond * SpinLimitUs / 1_000_000) : 0;
        h->InjectSignal = SystemCall.Activation;
        Volatile.Write(ref h->Magic, FamilyLayout.Magic);
    }

    /// <summary>Where libc keeps the calling thread's id, from FS: the only thing that tells a user context from the thread that created it.</summary>
    private static int FindTcbTid()
    {
        const int archGetFs = 0x1003, muslTcbTidOffset = 0x30, tcbBytes = 0x400;
        nint fs;
        if (Sys.Invoke(SyscallNumber.ArchPrctl, archGetFs, (nint)(&fs)) < 0)
        {
            throw new MemberStartException(125, "arch_prctl(ARCH_GET_FS) failed.");
        }

        int tid = Sys.GetTid();
        foreach (int offset in (IEnumerable<int>)[MachineCode.GlibcTcbTidOffset, muslTcbTidOffset, .. Enumerable.Range(0, tcbBytes / sizeof(int)).Select(i => i * sizeof(int))])
        {
            if (*(int*)(fs + offset) == tid)
            {
                return offset;
            }
        }

        throw new MemberStartException(125, "This libc keeps no thread id in its thread control block: Rpal knows glibc and musl.");
    }

    private static ulong MeasureTsc(FamilyHeader* h)
    {
        var tsc = (delegate* unmanaged<ulong>)h->Address(Routine.Tsc);
        const int sampleMs = 10;
        long begin = Stopwatch.GetTimestamp();
        ulong first = tsc();
        while (Stopwatch.GetElapsedTime(begin).TotalMilliseconds < sampleMs)
        {
        }

        ulong last = tsc();
        return (ulong)((last - first) / Stopwatch.GetElapsedTime(begin).TotalSeconds);
    }

    /// <summary>A member's area: its blocks, error texts and parking stacks.</summary>
    public static MemberBlock* MapMemberArea(int index)
    {
        MapFixed(FamilyLayout.MemberArea(index), FamilyLayout.MemberAreaBytes, Prot.Read | Prot.Write);
        MemberBlock* m = MemberBlock.At(index);
        m->AbiVersion = FamilyLayout.AbiVersion;
        m->Index = index;
        m->Magic = FamilyLayout.Magic;
        return m;
    }

    private static void MapFixed(long address, long length, int prot)
    {
        nint r = Sys.Mmap((nint)address, (nuint)length, prot, MapFlags.Private | MapFlags.Anonymous | MapFlags.NoReserve | MapFlags.FixedNoreplace, -1, 0);
        if (r < 0)
        {
            throw new MemberStartException(125, $"Cannot map the family's region of {length} bytes at 0x{address:x}: {ErrnoText.Describe((int)r)}.");
        }

        // A forked child of a member has a copy of everything else, but is not a member.
        _ = Sys.Madvise((nint)address, (nuint)length, MemoryAdvice.DontFork);
    }
}
