using System.Runtime.CompilerServices;
using System.Text;
using Rpal.Hosting.Death;
using Rpal.Hosting.Loading;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Broker;

/// <summary>
/// Answers the system calls of one member that only the host can get right in a shared address space: placement of its
/// mappings, its own name for /proc/self/exe, its signal actions, and the calls to the host. One thread per member.
/// </summary>
/// <remarks>
/// <code>
/// member thread: mmap(NULL, …) ──seccomp──► broker: maps at an address of the member's slot ──► the address, as mmap's result
/// at a fixed address, munmap: continued in the slot; outside the kernel's errors for what lies beyond the address space
/// forked child of a member (not exec'd yet): continued in its own kernel context
/// process that shares the memory (vfork, clone): placed in the slot as well, all else continued
/// </code>
/// The member waits only for fatal signals while the broker works (WAIT_KILLABLE_RECV, Linux 5.19); before that a signal can
/// interrupt it after the work was done, which is then undone.
/// </remarks>
internal sealed unsafe class SyscallBroker
{
    private const int PathProbeBytes = 64;

    /// <summary>O_ACCMODE.</summary>
    private const int AccessMode = 3;

    /// <summary>PIDFD_THREAD, Linux 6.9.</summary>
    private const uint PidfdThread = 0x80;

    private readonly int _listener, _pid, _pidfd;
    private readonly SlotSpace _space;
    private readonly byte[] _executable;
    private readonly SignalActions _actions;
    private readonly Family _family;
    private readonly MemberBlock* _member;
    private readonly List<byte[]> _selfNames;
    private readonly Action<string> _tell;
    private string? _notice;
    private bool _toldFull, _toldFixed, _toldDescriptors;
    private readonly Lock _lock = new();
    private bool _ended;

    public SyscallBroker(int listener, int pid, int pidfd, SlotSpace space, string executable, MemberBlock* member, Family family, Action<string> tell)
    {
        _listener = listener;
        _pid = pid;
        _pidfd = pidfd;
        _space = space;
        _executable = Encoding.UTF8.GetBytes(executable);
        _member = member;
        _family = family;
        _tell = tell;
        _actions = new SignalActions(member);
        _selfNames = [.. new[] { "/proc/self/exe", "/proc/thread-self/exe", $"/proc/{pid}/exe" }.Select(n => Encoding.UTF8.GetBytes(n + "\0"))];
    }

    /// <summary>Where the notification that is worked on is noted, for a keeper; null without one.</summary>
    public ulong* InFlight { get; init; }

    /// <summary>Mappings placed so far.</summary>
    public long Placed { get; private set; }

    public void Start(string name) =>
        new Thread(Serve) { IsBackground = true, Name = $"broker {name}" }.Start();

    /// <summary>The member's process is about to be reaped: its number and its descriptor may then be somebody else's. Its children are still continued.</summary>
    public void MemberEnded()
    {
        lock (_lock)
        {
            _ended = true;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]     // a member's start is waiting, and there may be only one
    private void Serve()
    {
        _ = Sys.NotifSetFlags(_listener, SeccompNotifFlags.SyncWakeUp);     // Linux 6.6: answers cheaper; not needed
        PollFd poll = new() { Fd = _listener, Events = PollEvents.In };
        while (true)
        {
            int ready = Sys.Poll(&poll, 1, -1);
            if (ready > 0 && (poll.Returned & PollEvents.In) == 0)
            {
                break;                                           // nobody has the filter any more
            }

            SeccompNotif notif = default;
            if (ready <= 0 || Sys.NotifReceive(_listener, &notif) < 0)
            {
                continue;                                        // EINTR; ENOENT: killed before we looked
            }

            NoteInFlight(notif.Id);
            SeccompNotifResponse response = new() { Id = notif.Id };
            try
            {
                nint result;
                lock (_lock)
                {
                    result = _ended ? Continue(ref response) : Answer(ref notif, ref response);
                }

                (response.Value, response.Error) = result is < 0 and >= -4095 ? (0, (int)result) : (result, 0);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or OutOfMemoryException)
            {
                response.Error = -(int)Errno.ENOMEM;             // the host's own trouble (descriptors, memory): the member sees a failed call
                NoteDescriptors();
            }

            if (Sys.NotifSend(_listener, &response) < 0 && notif.Data.Number == SyscallNumber.Mmap && response is { Error: 0, Flags: 0 })
            {
                _ = Sys.Munmap((nint)response.Value, (nuint)notif.Data.Arguments[1]);     // interrupted: it will ask again
            }

            NoteInFlight(0);

            if (_notice is { } text)
            {
                _notice = null;
                _tell(text);                                     // now that the member has its answer: the operator's terminal may be slow
            }
        }

        _ = Sys.Close(_listener);
    }

    private void NoteDescriptors()
    {
        if (!_toldDescriptors && HostDescriptors.Shortage("mmap fails (ENOMEM) for want of descriptors in the host") is { } shortage)
        {
            _toldDescriptors = true;
            _notice = shortage;
        }
    }

    private void NoteInFlight(ulong id)
    {
        if (InFlight is not null)
        {
            Volatile.Write(ref *InFlight, id);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private nint Answer(ref SeccompNotif notif, ref SeccompNotifResponse response)
    {
        fixed (ulong* a = notif.Data.Arguments)
        {
            int tid = (int)notif.Pid;
            bool isMember = tid == _pid || Sys.Access($"/proc/{_pid}/task/{tid}") >= 0;
            if (!isMember && (notif.Data.Number == SyscallNumber.RtSigaction || !AddressSpace.IsSharedBy(tid)))
            {
                return Continue(ref response);                   // a child between fork and exec: its own signal actions, a copy of the memory
            }

            switch ((long)notif.Data.Number)
            {
                case SyscallNumber.Mmap:
                    return ((int)a[3] & (MapFlags.Fixed | MapFlags.FixedNoreplace)) == 0 ? Map(tid, isMember, a)
                        : _space.Contains((nint)a[0], (nint)a[1]) ? Continue(ref response)
                        : RefuseFixed((nint)a[0], (nint)a[1]);
                case SyscallNumber.Munmap:
                    return _space.Contains((nint)a[0], (nint)a[1]) ? Continue(ref response) : -(int)Errno.EINVAL;
                case SyscallNumber.Mremap:
                    return Remap(a, ref response);
                case SyscallNumber.Shmat:
                    return a[1] == 0 ? AttachShared(a)
                        : _space.Contains((nint)a[1], Math.Max(SharedMemorySize((int)a[0]), 0)) ? Continue(ref response)
                        : -(int)Errno.EINVAL;
                case SyscallNumber.Readlink:
                    return ReadLink(a[0], a[1], a[2], ref response);
                case SyscallNumber.Readlinkat:
                    return ReadLink(a[1], a[2], a[3], ref response);
                case SyscallNumber.RtSigaction:
                    int signal = (int)a[0];
                    return signal >= (int)HostCall.Attach ? Call((HostCall)signal, a)
                        : _actions.Change(signal, (nint)a[1], (nint)a[2], a[3]) is { } done ? done
                        : Continue(ref response);
                case SyscallNumber.ExitGroup:
                    _ = isMember ? StandBy() : 0;
                    return Continue(ref response);
                default:
                    return Continue(ref response);
            }
        }
    }

    private static nint Continue(ref SeccompNotifResponse response)
    {
        response.Flags = SeccompNotifFlags.Continue;
        return 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private nint Map(int tid, bool isMember, ulong* a)
    {
        nint hint = (nint)a[0];
        nuint length = (nuint)a[1];
        int prot = (int)a[2], flags = (int)a[3];
        if ((flags & MapFlags.Low32Bit) != 0)
        {
            return -(int)Errno.ENOMEM;                           // the low 2 GiB belong to no slot
        }

        int fd = -1;
        if ((flags & MapFlags.Anonymous) == 0)
        {
            fd = Descriptor((int)a[4], tid, isMember);
            if (fd < 0)
            {
                return fd;
            }
        }

        try
        {
            Placed++;
            long offset = (long)a[5];
            return Place(hint & ~4095, (nint)length, where => MapAt((nint)where, length, prot, flags, fd, offset));
        }
        finally
        {
            if (fd >= 0)
            {
                _ = Sys.Close(fd);
            }
        }
    }

    /// <summary>At the member's wish when there is room, else where the slot has some. Says once why there is none.</summary>
    private nint Place(long hint, long length, Func<long, nint> map)
    {
        if (!_family.Mappings.Allows(_space.HasFewerMappingsThan))
        {
            _notice = _family.Mappings.Shortage(() => _space.Usage().Mappings);
            return -(int)Errno.ENOMEM;
        }

        if (hint != 0 && _space.Contains(hint, length))
        {
            nint wished = map(hint);
            if (wished >= 0)
            {
                _space.Took(wished, length);
            }

            if (wished != -(int)Errno.EEXIST)
            {
                return wished;
            }
        }

        nint r = _space.Place(length, map);
        if (r == -(int)Errno.ENOMEM)
        {
            NoteShortage(length);
        }

        return r;
    }

    private void NoteShortage(long length)
    {
        const long plausibleBytes = 1L << 46;                    // more than that nobody has anywhere
        if (!_space.IsFull)
        {
            _notice = _family.Mappings.Shortage(() => _space.Usage().Mappings);
        }
        else if (!_toldFull && length is > 0 and < plausibleBytes)
        {
            _toldFull = true;
            (int mappings, long bytes) = _space.Usage();
            _notice = $"mmap of {length} bytes fails (ENOMEM): no room in its slot of {FamilyLayout.SlotBytes >> 30} GiB, where {mappings} mappings take {bytes >> 30} GiB. The slot's size is fixed; reserve less (for .NET: DOTNET_GCRegionRange, DOTNET_GCHeapHardLimit).";
        }
    }

    private nint RefuseFixed(long address, long length)
    {
        if (!_toldFixed)
        {
            _toldFixed = true;
            _notice = $"mmap of {length} bytes at the fixed address 0x{address:x} fails (ENOMEM): it lies outside its slot, 0x{_space.Base:x} to 0x{_space.Base + FamilyLayout.SlotBytes:x}. Programs that need fixed addresses (AddressSanitizer, for example) cannot be members.";
        }

        return -(int)Errno.ENOMEM;
    }

    /// <summary>mmap(2) at an address where nothing lies yet. MAP_SHARED_VALIDATE refuses flags that the file does not know, MAP_FIXED_NOREPLACE
    /// among them: there the place is taken first and replaced then.</summary>
    private static nint MapAt(nint where, nuint length, int prot, int flags, int fd, long offset)
    {
        if (fd < 0 || (flags & MapFlags.SharedValidate) != MapFlags.SharedValidate)
        {
            return Sys.Mmap(where, length, prot, flags | MapFlags.FixedNoreplace, fd, offset);
        }

        nint taken = Sys.Mmap(where, length, Prot.None, MapFlags.Private | MapFlags.Anonymous | MapFlags.NoReserve | MapFlags.FixedNoreplace, -1, 0);
        nint mapped = taken < 0 ? taken : Sys.Mmap(where, length, prot, flags | MapFlags.Fixed, fd, offset);
        if (taken >= 0 && mapped < 0)
        {
            _ = Sys.Munmap(where, length);
        }

        return mapped;
    }

    /// <summary>The caller's descriptor as one of ours. pidfd_getfd needs CAP_SYS_PTRACE under Docker's default profile; /proc does not.</summary>
    /// <remarks>A main thread that has ended before its process has no descriptors any more: then the calling thread's own are asked.</remarks>
    private int Descriptor(int fd, int tid, bool isMember)
    {
        if (isMember)
        {
            int got = Sys.PidfdGetfd(_pidfd, fd, 0);
            if (got >= 0 || (got == -(int)Errno.EBADF && tid == _pid))
            {
                return got;
            }
        }

        int pidfd = Sys.PidfdOpen(tid, isMember ? PidfdThread : 0);
        if (pidfd >= 0)
        {
            int got = Sys.PidfdGetfd(pidfd, fd, 0);
            _ = Sys.Close(pidfd);
            if (got >= 0 || got == -(int)Errno.EBADF)
            {
                return got;
            }
        }

        return pidfd == -(int)Errno.EMFILE ? throw new IOException(ErrnoText.Describe(pidfd)) : Reopen(tid, fd);
    }

    /// <summary>With the access that the member's own descriptor has: it decides what may be mapped, also by mprotect later.</summary>
    private static int Reopen(int tid, int fd)
    {
        string? line;
        try
        {
            line = File.ReadLines($"/proc/{tid}/fdinfo/{fd}").FirstOrDefault(l => l.StartsWith("flags:", StringComparison.Ordinal));
        }
        catch (IOException)
        {
            line = null;                                         // no such descriptor, or its owner has just ended
        }

        if (line is null)
        {
            return -(int)Errno.EBADF;
        }

        int flags = Convert.ToInt32(line[6..].Trim(), 8), access = flags & AccessMode;
        return (flags & OpenFlags.Path) != 0
            ? -(int)Errno.EBADF
            : Sys.Open($"/proc/{tid}/fd/{fd}", access | OpenFlags.CloseOnExec | OpenFlags.NonBlocking);
    }

    private nint Remap(ulong* a, ref SeccompNotifResponse response)
    {
        nint old = (nint)a[0];
        nuint oldLength = (nuint)a[1], newLength = (nuint)a[2];
        int flags = (int)a[3];
        if (!_space.Contains(old, (nint)oldLength))
        {
            return -(int)Errno.EFAULT;
        }

        if ((flags & MremapFlags.Fixed) != 0 && !_space.Contains((nint)a[4], (nint)newLength))
        {
            return -(int)Errno.EINVAL;
        }

        bool inPlace = _space.Contains(old, (nint)newLength);
        if ((flags & MremapFlags.MayMove) == 0 && !inPlace)
        {
            return -(int)Errno.ENOMEM;                           // the kernel would let it grow into the next slot
        }

        const int understood = MremapFlags.MayMove | MremapFlags.DontUnmap;
        if ((flags & MremapFlags.MayMove) == 0 || (flags & ~understood) != 0)
        {
            return Continue(ref response);
        }

        nint r = inPlace && (flags & MremapFlags.DontUnmap) == 0 ? Sys.Mremap(old, oldLength, newLength, 0, 0) : -(int)Errno.ENOMEM;
        return r != -(int)Errno.ENOMEM ? r : Place(0, (nint)newLength, where =>
        {
            nint reserved = Sys.Mmap((nint)where, newLength, Prot.None, MapFlags.Private | MapFlags.Anonymous | MapFlags.NoReserve | MapFlags.FixedNoreplace, -1, 0);
            if (reserved < 0)
            {
                return reserved;
            }

            nint moved = Sys.Mremap(old, oldLength, newLength, flags | MremapFlags.Fixed, (nint)where);
            if (moved < 0)
            {
                _ = Sys.Munmap((nint)where, newLength);
            }

            return moved;
        });
    }

    private nint AttachShared(ulong* a)
    {
        int id = (int)a[0], flags = (int)a[2];
        long size = SharedMemorySize(id);
        return size < 0 ? (nint)size : Place(0, size, where =>
        {
            nint r = Sys.Shmat(id, (nint)where, flags);
            return r == -(int)Errno.EINVAL ? -(int)Errno.EEXIST : r;     // shmat says EINVAL for an occupied address
        });
    }

    private static long SharedMemorySize(int id)
    {
        foreach (string line in File.ReadLines("/proc/sysvipc/shm").Skip(1))
        {
            string[] columns = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (columns.Length > 3 && columns[1] == id.ToString())
            {
                return long.Parse(columns[3]);
            }
        }

        return -(int)Errno.EINVAL;
    }

    /// <summary>All members share one /proc/self/exe; each gets its own answer.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private nint ReadLink(ulong path, ulong buffer, ulong size, ref SeccompNotifResponse response)
    {
        byte* text = stackalloc byte[PathProbeBytes];
        nint n = Sys.ProcessVmReadv(_hostPid, (nint)path, text, PathProbeBytes);
        if (n <= 0)
        {
            n = Sys.ProcessVmReadv(_hostPid, (nint)path, text, Math.Min(PathProbeBytes, 4096 - (nuint)(path & 4095)));
        }

        ReadOnlySpan<byte> name = new(text, (int)Math.Max(n, 0));
        foreach (byte[] self in _selfNames)
        {
            if (name.StartsWith(self))
            {
                int room = (int)size;                            // the kernel takes an int
                if (room <= 0)
                {
                    return -(int)Errno.EINVAL;
                }

                int length = Math.Min(_executable.Length, room);
                fixed (byte* executable = _executable)
                {
                    return Sys.ProcessVmWritev(_hostPid, (nint)buffer, executable, (nuint)length) == length ? length : -(int)Errno.EFAULT;
                }
            }
        }

        return Continue(ref response);
    }

    /// <summary>The process is about to end: what its threads execute for others is brought home first.</summary>
    private nint StandBy()
    {
        _ = _member->Attached != 0 && ExitWatch.Begin(_family, _member->Index, _pid);
        return 0;
    }

    private nint Attach()
    {
        ExitWatch.StandBy(_family, _member->Index, _pid);
        return _actions.Attach();
    }

    private readonly int _hostPid = Environment.ProcessId;

    private nint Call(HostCall call, ulong* a) => call switch
    {
        HostCall.Attach => Attach(),
        HostCall.Dying => StandBy(),
        HostCall.RegisterService => _family.Directory.Register(_member->Index, (nint)a[1]),
        HostCall.SetServiceState => _family.Directory.SetState(_member->Index, (int)a[1], (ServiceState)a[2]),
        _ => -(int)Errno.EINVAL,
    };
}
