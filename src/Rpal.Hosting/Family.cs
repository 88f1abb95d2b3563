using System.Diagnostics;
using System.Runtime.InteropServices;
using Rpal.Hosting.Broker;
using Rpal.Hosting.Loading;
using Rpal.Linux;
using Rpal.Machine.Blocks;
using Rpal.Machine.Emit;
using Rpal.Machine.Platform;

namespace Rpal.Hosting;

/// <summary>The address space of a family in this process: the shared region, the machine code, the guard above brk. One per process.</summary>
internal sealed unsafe class Family
{
    private static readonly Lock s_lock = new();
    private static Family? s_family;
    private ulong _generations;
    private readonly MemberRecord[] _records = new MemberRecord[FamilyLayout.MemberCapacity];

    /// <summary>The longest that a side spins before it sleeps, in microseconds: about what waking a sleeping CPU costs (20 to 50 us measured).</summary>
    public const int SpinLimitUs = 50;

    private Family(bool inject)
    {
        KeepExitCodes();
        AddressSpace.MakeDumpable();
        _ = Sys.Membarrier(MembarrierCommand.RegisterPrivateExpedited, 0);     // for the whole address space: its members use it too
        GuardBrk();
        int r = CodeRegion.Map(inject, out MachineCode code);
        Code = r == 0 ? code : throw new MemberStartException(125,
            r == -(int)Errno.EEXIST ? Occupied(FamilyLayout.CodeBase, FamilyLayout.CodeBytes)
            : $"Cannot map the family's machine code at 0x{FamilyLayout.CodeBase:x}: {ErrnoText.Describe(r)}. A security policy that forbids turning written pages executable also forbids a family.");
        MapRegions();
        Directory = new ServiceDirectory();
    }

    public MachineCode Code { get; }

    public ServiceDirectory Directory { get; }

    public MappingBudget Mappings { get; } = new();

    public AioContexts Aio { get; } = new();

    public SlotTable Slots { get; } = new();

    /// <summary>See <see cref="FamilyDefinition.TraceMembers"/>.</summary>
    public bool TraceMembers { get; set; }

    /// <summary>What members get when the thread that started them ends, see <see cref="HostExitPolicy"/>; 0: nothing.</summary>
    public int ParentDeathSignal { get; set; } = Signal.SIGKILL;

    /// <summary>See <see cref="Keeping.KeeperLink.LastReceived"/>; null without a keeper.</summary>
    public ulong* LastReceived { get; set; }

    /// <summary>Called with slot, <see cref="MemberBlock.Generation"/> and reason when a member lost a receiver and cannot go on: it is restarted, unless its slot is another's by then.</summary>
    public Action<int, ulong, string>? ReceiverLost { get; set; }

    /// <summary>Gets lines for the operator that are not said of a member by name.</summary>
    public Action<string> Notice { get; set; } = static _ => { };

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

    /// <summary>A host that was started with SIGCHLD ignored would have its members reaped by the kernel and never learn how they ended.</summary>
    private static void KeepExitCodes()
    {
        const nint ignore = 1;
        KernelSigaction action = default;
        if (Sys.RtSigaction(Signal.SIGCHLD, null, &action) == 0 && action.Handler == ignore)
        {
            action = default;
            _ = Sys.RtSigaction(Signal.SIGCHLD, &action, null);
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
        // Zeros: a stray look finds no member, and no fault.
        MapFixed(FamilyLayout.MemberAreaBase, FamilyLayout.MemberAreaBytes * FamilyLayout.MemberCapacity, Prot.Read);
        MapFixed(FamilyLayout.AccountBase, FamilyLayout.MemberAccountBytes * FamilyLayout.MemberCapacity, Prot.Read | Prot.Write);
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
        h->HostPid = Environment.ProcessId;
        h->CodeBase = unchecked((nint)FamilyLayout.CodeBase);
        h->CodeLengthBytes = FamilyLayout.CodeBytes;
        h->TscPerSecond = MeasureTsc(h);
        h->SpinLimitCycles = CpuBudget.MaySpin() ? (uint)(h->TscPerSecond * SpinLimitUs / 1_000_000) : 0;
        h->InjectSignal = SystemCall.Activation;
        Volatile.Write(ref h->Magic, FamilyLayout.Magic);
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

    /// <summary>Makes a member's area ready for a new process: its blocks, error texts and parking stacks.</summary>
    /// <exception cref="MemberStartException">The kernel refused the memory.</exception>
    public MemberBlock* PrepareArea(int index)
    {
        int r = Sys.Mprotect((nint)FamilyLayout.MemberArea(index), (nuint)FamilyLayout.MemberAreaBytes, Prot.Read | Prot.Write);
        if (r < 0)
        {
            throw new MemberStartException(125, $"Cannot use the member area of {FamilyLayout.MemberAreaBytes} bytes at 0x{FamilyLayout.MemberArea(index):x}: {ErrnoText.Describe(r)}.");
        }

        MemberBlock* m = MemberBlock.At(index);
        m->AbiVersion = FamilyLayout.AbiVersion;
        m->Index = index;
        Volatile.Write(ref _records[index].Generation, Interlocked.Increment(ref _generations));
        Volatile.Write(ref m->Generation, _records[index].Generation);
        Volatile.Write(ref m->Magic, FamilyLayout.Magic);        // last: see BlockAddress
        return m;
    }

    /// <summary>Members whose blocks say something: those that run, and those that have ended and whose slot is not given back yet.</summary>
    public IEnumerable<int> Members()
    {
        for (int m = 0; m < FamilyLayout.MemberCapacity; m++)
        {
            if (StateOf(m) != MemberState.Free)
            {
                yield return m;
            }
        }
    }

    /// <summary>What the host made it. The block says the same to the machine code, but members can write there.</summary>
    public MemberState StateOf(int member) => (MemberState)Volatile.Read(ref _records[member].State);

    /// <summary>The process that was started in a slot last.</summary>
    public int PidOf(int member) => Volatile.Read(ref _records[member].Pid);

    /// <summary>See <see cref="MemberBlock.Generation"/>; 0: its slot was given back.</summary>
    public ulong GenerationOf(int member) => Volatile.Read(ref _records[member].Generation);

    public void Adopt(int member, int pid)
    {
        Volatile.Write(ref _records[member].Pid, pid);
        MemberBlock.At(member)->Pid = pid;
    }

    public void SetState(int member, MemberState state)
    {
        Volatile.Write(ref _records[member].State, (uint)state);
        Volatile.Write(ref *(uint*)&MemberBlock.At(member)->State, (uint)state);
    }

    /// <summary>Its area has become zeros.</summary>
    public void Emptied(int member)
    {
        Volatile.Write(ref _records[member].State, (uint)MemberState.Free);
        Volatile.Write(ref _records[member].Generation, 0);
    }

    private struct MemberRecord
    {
        public uint State;
        public int Pid;
        public ulong Generation;
    }

    private static void MapFixed(long address, long length, int prot)
    {
        nint r = Sys.Mmap((nint)address, (nuint)length, prot, MapFlags.Private | MapFlags.Anonymous | MapFlags.NoReserve | MapFlags.FixedNoreplace, -1, 0);
        if (r < 0)
        {
            throw new MemberStartException(125, r == -(int)Errno.EEXIST ? Occupied(address, length) : $"Cannot map the family's region of {length} bytes at 0x{address:x}: {ErrnoText.Describe((int)r)}.");
        }
    }

    private static string Occupied(long address, long length) =>
        $"The family's region, 0x{address:x} to 0x{address + length:x}, is not empty: something in the host has mapped memory there ({string.Join(' ', (AddressMap.Line(address, address + length) ?? "gone meanwhile").Split(' ', StringSplitOptions.RemoveEmptyEntries))}).";
}
