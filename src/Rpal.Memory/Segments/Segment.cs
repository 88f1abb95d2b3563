using System.Security.Cryptography;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Rpal.Linux;
using Rpal.Memory.Parties;

namespace Rpal.Memory.Segments;

/// <summary>
/// Memory that processes share: a file in memory (memfd) that nobody can shrink, grow or find by name, whose bytes all exist from the start, mapped
/// at one address in all processes where that is free. It goes when the last process has closed it or died.
/// </summary>
/// <remarks>
/// <para>It consists of parts (<see cref="Part"/>): pools, buffers, semaphores. Nothing in it is a pointer; all is offsets, checked when read.</para>
/// <para>Source: memfd_create(2), fcntl(2) F_ADD_SEALS, seeds 002 and 003.</para>
/// </remarks>
public sealed unsafe partial class Segment : IDisposable
{
    /// <summary>Smallest and largest segment.</summary>
    public const long LeastBytes = 64 * 1024, MostBytes = 1L << 40;

    private readonly SafeFileHandle _file;
    private readonly PartyTable _parties;
    private readonly Lock _lock = new();
    private byte* _memory;

    private Segment(SafeFileHandle file, SafeFileHandle locks, byte* address, long lengthBytes, PageKind pages)
    {
        (_file, LengthBytes, Pages) = (file, lengthBytes, pages);
        _memory = address;
        _parties = new PartyTable(this, locks);
    }

    /// <summary>Its first byte in this process.</summary>
    /// <exception cref="ObjectDisposedException">It is closed.</exception>
    public byte* Address
    {
        get
        {
            ObjectDisposedException.ThrowIf(_state == SegmentState.Gone, this);
            return _memory;
        }
    }

    /// <summary>Its length: what was asked for, in whole pages.</summary>
    public long LengthBytes { get; }

    /// <summary>Which pages it has.</summary>
    public PageKind Pages { get; }

    /// <summary>Random number that tells it from others.</summary>
    public ulong Id => Header->Id;

    /// <summary>Whether it lies where its creator has it, so that addresses in it mean the same in both. Never in a family, where each member has it in its own slot.</summary>
    public bool IsAtSharedAddress => Volatile.Read(ref Header->Address) == (long)Address;

    /// <summary>The descriptor, for passing it on (SCM_RIGHTS, inheritance): <see cref="SegmentTransfer"/> does it with a handshake. Stays
    /// the segment's: who closes it leaves what this process holds of the segment, when that is closed, to others, as by a death.</summary>
    public SafeFileHandle File => _file;

    /// <summary>This process among those that have it open.</summary>
    public Party Self => _parties.Self;

    internal PartyTable Parties => _parties;

    internal SegmentHeader* Header => (SegmentHeader*)Address;

    /// <summary>Makes a segment. All its bytes are zero, and exist.</summary>
    /// <param name="lengthBytes">At least, <see cref="LeastBytes"/> to <see cref="MostBytes"/>; its header takes <see cref="HeaderBytes"/> of it.</param>
    /// <param name="options">How.</param>
    /// <exception cref="SegmentException">BadArgument, NoMemory, KernelRefused.</exception>
    public static Segment Create(long lengthBytes, SegmentOptions? options = null)
    {
        options ??= new SegmentOptions();
        if (lengthBytes is < LeastBytes or > MostBytes)
        {
            throw new SegmentException(SegmentError.BadArgument, $"A segment of {lengthBytes} bytes: it must be {LeastBytes} to {MostBytes}.");
        }

        byte[] name = Encoding.UTF8.GetBytes(options.Name);
        if (name.Length > SegmentOptions.NameLengthLimit || name.Contains((byte)0))
        {
            throw new SegmentException(SegmentError.BadArgument, $"A segment's name is up to {SegmentOptions.NameLengthLimit} bytes without a zero; this has {name.Length}.");
        }

        SegmentFile made = SegmentFile.Create(name, lengthBytes, options.Pages);
        try
        {
            for (int attempt = 0; ; attempt++)
            {
                long wished = SegmentAddress.Propose(made.LengthBytes);
                nint at = SegmentAddress.Map(made.Fd, made.LengthBytes, wished);
                if (at < 0)
                {
                    throw CannotMap(made.LengthBytes, (int)at);
                }

                // A kernel or a family that maps elsewhere does so for a reason; it is asked again in case something lay just there.
                if (at == wished || attempt == SegmentAddress.AttemptsLimit - 1)
                {
                    return Begin(made, at);
                }

                _ = Sys.Munmap(at, (nuint)made.LengthBytes);
            }
        }
        catch
        {
            made.Dispose();
            throw;
        }
    }

    /// <summary>Opens a segment that another process made. It is checked before it is mapped: a file in memory, sealed, its header true.</summary>
    /// <param name="descriptor">From the other process; it stays the caller's.</param>
    /// <param name="requireSharedAddress">Whether to fail instead of mapping it elsewhere when its address is taken here.</param>
    /// <exception cref="SegmentException">NotSealed, BadHeader, NotAllocated, AddressOccupied, TooManyParties, KernelRefused, NoMemory.</exception>
    public static Segment Open(SafeFileHandle descriptor, bool requireSharedAddress = false)
    {
        ArgumentNullException.ThrowIfNull(descriptor);
        bool added = false;
        descriptor.DangerousAddRef(ref added);
        try
        {
            return Open((int)descriptor.DangerousGetHandle(), null, requireSharedAddress);
        }
        finally
        {
            descriptor.DangerousRelease();
        }
    }

    /// <summary>As <see cref="Open(SafeFileHandle, bool)"/>, at an address that a transfer agreed upon.</summary>
    internal static Segment Open(int descriptor, long? address, bool requireSharedAddress)
    {
        SegmentHeader header = SegmentFile.Check(descriptor);    // one copy, read before anything is mapped
        using SegmentFile file = SegmentFile.Reopen(descriptor, header.LengthBytes);
        long wished = address ?? header.Address;
        Tombstone.MakeRoom(wished, header.LengthBytes);
        nint at = SegmentAddress.Map(file.Fd, header.LengthBytes, wished);
        if (at >= 0 && at != wished && !requireSharedAddress)
        {
            // In the segments' own range too, where large guarded buffers can be moved; in a family it comes to lie in the slot whatever is asked for.
            _ = Sys.Munmap(at, (nuint)header.LengthBytes);
            at = SegmentAddress.Map(file.Fd, header.LengthBytes, SegmentAddress.Propose(header.LengthBytes));
        }

        if (at < 0)
        {
            throw CannotMap(header.LengthBytes, (int)at);
        }

        if (at != wished && requireSharedAddress)
        {
            _ = Sys.Munmap(at, (nuint)header.LengthBytes);
            string what = !Tombstone.IsAt(wished, header.LengthBytes) ? "something else does"
                : "a segment that this process has closed lay there, and something still refers to it";
            throw new SegmentException(SegmentError.AddressOccupied,
                $"The segment of {header.LengthBytes} bytes cannot lie at 0x{wished:x} here: {what}. Have its creator offer another "
                + "address (SegmentTransfer), or open it without requiring the shared one.");
        }

        return Join(file, at);
    }

    /// <summary>Gives back what processes held that have died: blocks, leases, seats of waiters. Also done by whoever finds a dead holder in its way.</summary>
    /// <returns>How many processes were cleared away.</returns>
    /// <exception cref="SegmentException">RecoveryBusy.</exception>
    public int Sweep()
    {
        ThrowIfClosed();
        return _parties.Sweep();
    }

    /// <summary>For messages: number, process and program of one that has it open.</summary>
    public string Describe(Party party) => _parties.Describe(party.Number);

    /// <summary>The other processes that have it open now. Costs a system call for each.</summary>
    public IReadOnlyList<Party> OtherParties()
    {
        ThrowIfClosed();
        return [.. Enumerable.Range(0, PartyTable.Capacity).Where(n => n != Self.Number).Select(_parties.Find).OfType<Party>()];
    }

    /// <summary>Whether a process that had it open still has.</summary>
    public bool IsAlive(Party party) => _parties.IsAlive(party);

    /// <summary>Moves it in this process; its creator, before anybody else has it and before it has parts.</summary>
    /// <returns>Whether it lies there now.</returns>
    internal bool TryMove(long address)
    {
        Tombstone.MakeRoom(address, LengthBytes);                // not under the lock: it waits for finalizers, which may close segments
        lock (_lock)                                             // closing puts something else where it lies
        {
            ThrowIfClosed();
            return TryMoveLocked(address);
        }
    }

    private bool TryMoveLocked(long address)
    {
        if (PartCount > 0 || !IsAtSharedAddress)
        {
            return false;                                        // somebody may have taken addresses in it
        }

        nint at = TryMapFile(address);
        if (at != address)
        {
            _ = at < 0 ? 0 : Sys.Munmap(at, (nuint)LengthBytes);
            return false;
        }

        AskToJoinPages(at, LengthBytes, Pages);
        byte* old = _memory;
        _memory = (byte*)at;
        Volatile.Write(ref Header->Address, address);
        _ = Sys.Munmap((nint)old, (nuint)LengthBytes);
        return true;
    }

    /// <summary>Under the dead party's lock and the recovery lock.</summary>
    internal void Recover(int party)
    {
        // Each byte once: a hostile process could name the same ones in all entries.
        List<Part> done = [];
        for (int i = 0; i < PartCount; i++)
        {
            if (TryFind(i, out Part part) && !done.Exists(d => part.Offset < d.Offset + d.LengthBytes && d.Offset < part.Offset + part.LengthBytes))
            {
                PartRecovery.Run(part, party);
                done.Add(part);
            }
        }

        Header->Recoveries++;
    }

    private static Segment Begin(SegmentFile made, nint at)
    {
        SegmentHeader* header = (SegmentHeader*)at;
        *header = new SegmentHeader
        {
            Version = SegmentHeader.CurrentVersion,
            HeaderBytes = (uint)HeaderBytes,
            LengthBytes = made.LengthBytes,
            Address = at,
            Id = BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong))),
            NextOffset = HeaderBytes,
        };
        Volatile.Write(ref header->Magic, SegmentHeader.ExpectedMagic);
        return Join(made, at);
    }

    /// <summary>Makes what is mapped a segment of this process; or unmaps it.</summary>
    private static Segment Join(SegmentFile file, nint at)
    {
        long length = file.LengthBytes;
        SafeFileHandle? locks = null;
        try
        {
            AskToJoinPages(at, length, file.Pages);
            locks = SegmentFile.ForLocks(file.Fd);
            var segment = new Segment(file.Detach(), locks, (byte*)at, length, file.Pages);
            try
            {
                segment._parties.Join();
                return segment;
            }
            catch
            {
                segment._state = SegmentState.Gone;
                segment._file.Dispose();
                throw;
            }
        }
        catch
        {
            locks?.Dispose();
            _ = Sys.Munmap(at, (nuint)length);
            throw;
        }
    }

    /// <summary>A request: the system does it by its own rules, or not.</summary>
    private static void AskToJoinPages(nint at, long lengthBytes, PageKind pages) =>
        _ = pages == PageKind.SmallJoined ? Sys.Madvise(at, (nuint)lengthBytes, MemoryAdvice.HugePage) : 0;

    private static SegmentException CannotMap(long lengthBytes, int errno) =>
        new(errno == -(int)Errno.ENOMEM ? SegmentError.NoMemory : SegmentError.KernelRefused, $"Mapping a segment of {lengthBytes} bytes (mmap): {ErrnoText.Describe(errno)}.");
}
