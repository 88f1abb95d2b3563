using System.Runtime.CompilerServices;
using Rpal.Hosting.Death;
using Rpal.Hosting.Loading;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Broker;

/// <summary>
/// Answers the system calls of one member that only the host can get right in a shared address space: placement of its
/// mappings, what concerns the whole address space, its own name for /proc/self/exe, its signal actions, and the calls to the host. Here is
/// who asks and whose answer it gets; the answers are <see cref="MappingCalls"/>', <see cref="AddressSpaceSettings"/>', <see cref="Credentials"/>', <see cref="OwnExecutable"/>'s
/// and <see cref="SignalActions"/>'. One thread per member.
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
    private readonly int _listener, _pid, _index;
    private readonly MappingCalls _mappings;
    private readonly OwnExecutable _executable;
    private readonly SignalActions _actions;
    private readonly MappingDefaults _defaults;
    private readonly AddressSpaceSettings _settings;
    private readonly Credentials _credentials;
    private readonly Notices _notices = new();
    private readonly Family _family;
    private readonly MemberBlock* _member;
    private readonly Action<string> _tell;
    private readonly Lock _lock = new(), _closing = new();
    private bool _ended, _isClosed, _toldDescriptors;

    public SyscallBroker(int listener, int pid, int pidfd, SlotSpace space, string executable, MemberBlock* member, Family family, Action<string> tell)
    {
        _listener = listener;
        _pid = pid;
        _defaults = new MappingDefaults(space, _notices);
        _mappings = new MappingCalls(pid, pidfd, space, family.Mappings, _defaults, _notices);
        _settings = new AddressSpaceSettings(_defaults, _notices);
        _credentials = new Credentials(_notices);
        _executable = new OwnExecutable(pid, executable);
        _member = member;
        _index = BlockAddress.MemberOf(member);
        _family = family;
        _tell = tell;
        _actions = new SignalActions(member);
    }

    /// <summary>Where the last notification received is noted, for a keeper; null without one.</summary>
    public ulong* LastReceived { get; init; }

    public void Start(string name) =>
        GuardedThread.Start($"broker {name}", Serve, _tell, Close);

    /// <summary>The member's process is about to be reaped: its number and its descriptor may then be somebody else's. Or it has executed
    /// another program, and its slot may be somebody else's. Its children are still continued.</summary>
    public void MemberEnded()
    {
        lock (_lock)
        {
            _ended = true;
        }
    }

    /// <summary>The process is about to execute another program, if that can be executed: by its thread of that number. Does not wait for
    /// it.</summary>
    public Action<int>? Leaving { get; set; }

    /// <summary>A copy of the listener for a keeper, or -errno: nobody has the filter any more.</summary>
    public int CopyListener()
    {
        lock (_closing)
        {
            return _isClosed ? -(int)Errno.EBADF : Sys.DuplicateFrom(_listener, 0);
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

            SeccompNotifResponse response = new() { Id = notif.Id };
            string? shortage = null;
            try
            {
                nint result;
                lock (_lock)
                {
                    NoteReceived(notif.Id);
                    result = _ended ? Continue(ref response) : Answer(ref notif, ref response);
                }

                (response.Value, response.Error) = result is < 0 and >= -4095 ? (0, (int)result) : (result, 0);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or OutOfMemoryException)
            {
                response.Error = -(int)Errno.ENOMEM;             // the host's own trouble (descriptors, memory): the member sees a failed call
                shortage = Shortage();
                _notices.Once(NoticeKind.Denied, e is not UnauthorizedAccessException ? null
                    : $"system call {notif.Data.Number} fails (ENOMEM): the kernel refuses rpal what it needs of the caller ({e.OneLine()}). rpal may look at processes of its own user and group only, or needs CAP_SYS_PTRACE.");
            }
            catch (Exception e)                                  // an error of the host's: that call fails, and nobody else hears of it
            {
                response.Error = -(int)Errno.EIO;
                shortage = $"system call {notif.Data.Number} fails (EIO) for an error in the host: {e.OneLine()}. That is a fault of Rpal: please report it.";
            }

            if (Sys.NotifSend(_listener, &response) < 0 && notif.Data.Number == SyscallNumber.Mmap && response is { Error: 0, Flags: 0 })
            {
                _ = Sys.Munmap((nint)response.Value, (nuint)notif.Data.Arguments[1]);     // interrupted: it will ask again
            }

            _notices.Add(shortage);
            while (_notices.Take() is { } text)
            {
                _tell(text);                                     // now that the member has its answer: the operator's terminal may be slow
            }
        }

        Close();
    }

    /// <summary>Calls that nobody answers fail (ENOSYS) from here on.</summary>
    private void Close()
    {
        lock (_closing)
        {
            _ = _isClosed ? 0 : Sys.Close(_listener);
            _isClosed = true;
        }
    }

    /// <summary>Said once: why a call failed that needed descriptors.</summary>
    private string? Shortage()
    {
        string? shortage = _toldDescriptors ? null : HostDescriptors.Shortage("mmap fails (ENOMEM) for want of descriptors in the host");
        _toldDescriptors |= shortage is not null;
        return shortage;
    }

    private void NoteReceived(ulong id)
    {
        if (LastReceived is not null && !_ended)                  // the word is its slot's: it may be another's by then
        {
            Volatile.Write(ref *LastReceived, id);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private nint Answer(ref SeccompNotif notif, ref SeccompNotifResponse response)
    {
        _notices.Once(NoticeKind.LostDumpable, AddressSpace.KeepDumpable());
        fixed (ulong* a = notif.Data.Arguments)
        {
            int tid = (int)notif.Pid;
            bool isMember = tid == _pid || Sys.Access($"/proc/{_pid}/task/{tid}") >= 0;
            if (OwnFilter.Of(notif.Data.Number, a) is { } filter)
            {
                if (filter == OwnFilter.Possible && isMember)
                {
                    Volatile.Write(ref _member->OwnFilter, 1);   // from here on its kernel threads make no other member's calls
                }

                _settings.Own(filter);
                return Continue(ref response);
            }

            if (!isMember && (notif.Data.Number == SyscallNumber.RtSigaction || !AddressSpace.IsSharedBy(tid)))
            {
                return Continue(ref response);                   // a child between fork and exec: its own signal actions, a copy of the memory
            }

            switch ((long)notif.Data.Number)
            {
                case SyscallNumber.Mmap:
                    return _mappings.Map(new Caller(tid, isMember, _listener, notif.Id), a) ?? Continue(ref response);
                case SyscallNumber.Munmap:
                    return _mappings.Unmap((nint)a[0], (nint)a[1]) ?? Continue(ref response);
                case SyscallNumber.Mremap:
                    return _mappings.Remap(a) ?? Continue(ref response);
                case SyscallNumber.Mlock or SyscallNumber.Mlock2 or SyscallNumber.Munlock or SyscallNumber.Mbind or SyscallNumber.SetMempolicyHomeNode or SyscallNumber.RemapFilePages:
                    return _mappings.InSlot(notif.Data.Number, (nint)a[0], (nint)a[1]) ?? Continue(ref response);
                case SyscallNumber.Shmdt:
                    return _mappings.InSlot(SyscallNumber.Shmdt, (nint)a[0], 0) ?? Continue(ref response);
                case SyscallNumber.Mlockall:
                    return _defaults.LockAll((int)a[0]);
                case SyscallNumber.Munlockall:
                    return _defaults.UnlockAll();
                case SyscallNumber.IoSetup:
                    return _family.Aio.Create(_index, (uint)a[0], (nint)a[1]);
                case SyscallNumber.IoDestroy:
                    _family.Aio.Leaving((nint)a[0]);
                    return Continue(ref response);
                case SyscallNumber.Prctl:
                    return _settings.Prctl(a) ?? Continue(ref response);
                case SyscallNumber.Setrlimit:
                    return _settings.Limit(tid, 0, (int)a[0], a[1]) ?? Continue(ref response);
                case SyscallNumber.Prlimit64:
                    return _settings.Limit(tid, (int)a[0], (int)a[1], a[2]) ?? Continue(ref response);
                case SyscallNumber.Mseal:
                    return _settings.Seal();
                case SyscallNumber.ModifyLdt:
                    return _settings.LocalDescriptors();
                case SyscallNumber.MapShadowStack or SyscallNumber.ArchPrctl:
                    return _settings.ShadowStack();
                case SyscallNumber.MigratePages:
                    return _settings.Migrate(tid, (int)a[0]) ?? Continue(ref response);
                case SyscallNumber.Setuid or SyscallNumber.Setgid or SyscallNumber.Setreuid or SyscallNumber.Setregid or SyscallNumber.Setresuid or SyscallNumber.Setresgid or SyscallNumber.Setfsuid or SyscallNumber.Setfsgid:
                    return _credentials.Change(notif.Data.Number, a, tid) ?? Continue(ref response);
                case SyscallNumber.Setns:
                    return _credentials.Enter((int)a[0], (int)a[1], tid) ?? Continue(ref response);
                case SyscallNumber.Shmat:
                    return _mappings.AttachShared(a) ?? Continue(ref response);
                case SyscallNumber.Readlink:
                    return _executable.ReadLink(a[0], a[1], a[2]) ?? Continue(ref response);
                case SyscallNumber.Readlinkat:
                    return _executable.ReadLink(a[1], a[2], a[3]) ?? Continue(ref response);
                case SyscallNumber.RtSigaction:
                    int signal = (int)a[0];
                    return signal >= (int)HostCall.Attach ? Call((HostCall)signal, a)
                        : _actions.Change(signal, (nint)a[1], (nint)a[2], a[3]) ?? Continue(ref response);
                case SyscallNumber.ExitGroup:
                    _ = isMember ? StandBy() : 0;
                    return Continue(ref response);
                case SyscallNumber.Execve or SyscallNumber.Execveat:
                    if (isMember)
                    {
                        Leaving?.Invoke(tid);
                    }

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

    /// <summary>The process is about to end: what its threads execute for others is brought home first.</summary>
    private nint StandBy()
    {
        _ = _member->Attached != 0 && ExitWatch.Begin(_family, _index, _pid);
        return 0;
    }

    private nint Attach()
    {
        ExitWatch.StandBy(_family, _index, _pid);
        return _actions.Attach();
    }

    private nint Call(HostCall call, ulong* a) => call switch
    {
        HostCall.Attach => Attach(),
        HostCall.Dying => StandBy(),
        HostCall.RegisterService => _family.Directory.Register(_index, (nint)a[1]),
        HostCall.SetServiceState => _family.Directory.SetState(_index, (int)a[1], (ServiceState)a[2]),
        _ => -(int)Errno.EINVAL,
    };
}
