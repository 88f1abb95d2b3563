using Rpal.Hosting.Supervision;
using Rpal.Linux;

namespace Rpal.Hosting.Keeping;

/// <summary>The host's end of its keeper, and of the next one when that has ended.</summary>
/// <remarks><code>
/// member started: Handed ── the keeper has it ─► Kept        keeper ended: all are Waiting until the next one is there
///                    └───── it could not ──────► Lost, told
/// </code></remarks>
internal sealed unsafe class KeeperLink : IDisposable
{
    /// <summary>One word a slot: the last notification that the host received, or 0 before the first. Written by the brokers, read by the keeper once the host is gone.</summary>
    public const int TableBytes = 4096;

    /// <summary>Of the host: the table, socket, process and thread, and while another keeper is started its socket's other end, /dev/null
    /// and a member's copies.</summary>
    public const int Descriptors = 3 + 2 + 2 + Ward.DescriptorCount;

    /// <summary>Keepers in a row that are started after one has ended; one that ran for <see cref="Backoff.Healthy"/> begins a new
    /// row.</summary>
    public const int RestartLimit = 10;

    /// <summary>For a keeper's answer; it may just be starting, on a machine with much to do.</summary>
    private const int AnswerPatienceMs = 30_000;

    /// <summary>For the watching thread to see that the keeper was killed: a stopped one dies of that too.
    /// Only one that the kernel does not let end (a disk that does not answer) takes longer,
    /// and is left behind with the thread and the table.</summary>
    private static readonly TimeSpan s_endPatience = TimeSpan.FromSeconds(10);

    private readonly object _lock = new();
    private readonly Dictionary<int, Kept> _wards = [];
    private readonly IReadOnlyList<string> _command;
    private readonly HostExitPolicy _policy;
    private readonly TimeSpan _grace;
    private readonly IFamilyObserver _observer;
    private readonly int _table;
    private readonly Thread _watch;
    private KeeperProcess? _process;
    private bool _isAnother, _disposed;

    private KeeperLink(
        IReadOnlyList<string> command, HostExitPolicy policy, TimeSpan grace, IFamilyObserver observer, int table, ulong* lastReceived)
    {
        (_command, _policy, _grace, _observer, _table) = (command, policy, grace, observer, table);
        LastReceived = lastReceived;
        KeeperProcess first = _process = StartOne();
        try
        {
            _watch = GuardedThread.Start("keeper", Watch, text => Tell("rpal", text),
                () => Tell("rpal", "Nobody watches the keeper any more: members may outlive this process if it is killed."));
        }
        catch
        {
            first.Kill();
            _ = first.Reap();
            first.Dispose();
            throw;
        }
    }

    private enum WardState
    {
        /// <summary>No keeper knows of it.</summary>
        Waiting,

        /// <summary>Sent to the keeper, which has not answered.</summary>
        Handed,

        /// <summary>The keeper has it.</summary>
        Kept,

        /// <summary>The keeper could not take it, and the operator was told.</summary>
        Lost,
    }

    public ulong* LastReceived { get; }

    /// <summary>Starts it. It need not be up before members are: what is handed over waits in the socket, also when this process dies.</summary>
    /// <exception cref="MemberStartException">It cannot be started.</exception>
    public static KeeperLink Start(IReadOnlyList<string> command, HostExitPolicy policy, TimeSpan grace, IFamilyObserver observer)
    {
        int table = OutputPipe.AboveStandard(Sys.MemfdCreate(TableBytes));
        nint words = table < 0 ? table : Sys.Mmap(0, TableBytes, Prot.Read | Prot.Write, MapFlags.Shared, table, 0);
        try
        {
            return words < 0 ? throw new MemberStartException(125, $"The keeper's table: {ErrnoText.Describe((int)words)}.")
                : new KeeperLink(command, policy, grace, observer, table, (ulong*)words);
        }
        catch
        {
            _ = table < 0 ? 0 : Sys.Close(table);
            throw;
        }
    }

    /// <summary>Hands copies of a member's descriptors over.</summary>
    public void Hand(MemberDefinition definition, int slot, int pid, ReadOnlySpan<int> descriptors)
    {
        LastReceived[slot] = 0;
        int graceMs = (int)Math.Min((definition.StopGrace ?? _grace).TotalMilliseconds, int.MaxValue);
        string? notice;
        lock (_lock)
        {
            notice = Send(_wards[pid] = new Kept(new WardMessage(pid, slot, graceMs, definition.Name)), descriptors);
        }

        Tell(definition.Name, notice);
    }

    /// <summary>From here on it is handed to the next keeper too, until it ends.</summary>
    /// <param name="member">It.</param>
    /// <param name="copies">Makes copies of its descriptors, in <see cref="Ward"/>'s order, to be closed here; -errno for those that cannot
    /// be made, EBADF once it has ended.</param>
    public void Follow(Member member, Func<int[]> copies)
    {
        string? notice;
        Kept ward;
        lock (_lock)
        {
            ward = _wards[member.Pid];
            ward.Copies = copies;
            notice = ward.State == WardState.Waiting ? SendCopies(ward) : null;
        }

        Tell(member.Definition.Name, notice);
        _ = member.Exit.ContinueWith(_ => Forget(ward), TaskScheduler.Default);
    }

    /// <summary>After the last member's end.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            _process?.Kill();                                    // it has nobody left, and may still be starting
            Monitor.PulseAll(_lock);
        }

        // Its mapping stays: a broker may still serve what a member left behind. A thread that has not ended may still send the table's
        // number, which would be another file's.
        _ = _watch.Join(s_endPatience) ? Sys.Close(_table) : 0;
    }

    /// <summary>Its number may be a later member's by now.</summary>
    private void Forget(Kept ward)
    {
        lock (_lock)
        {
            _ = _wards.GetValueOrDefault(ward.Message.Pid) == ward && _wards.Remove(ward.Message.Pid);
        }
    }

    private KeeperProcess StartOne()
    {
        KeeperProcess process = KeeperProcess.Start(_command, _policy);
        _ = Sys.SendDescriptors(process.Socket, "table"u8, [_table]);
        return process;
    }

    /// <summary>The thread's life: a keeper's end, and the next one.</summary>
    private void Watch()
    {
        int row = 0;
        while (_process is { } process)
        {
            long began = Environment.TickCount64;
            Attend(process);
            string how = process.Reap();
            lock (_lock)
            {
                (_process, _isAnother) = (null, true);
                process.Dispose();
                foreach (Kept ward in _wards.Values)
                {
                    ward.State = WardState.Waiting;
                }
            }

            row = Environment.TickCount64 - began >= Backoff.Healthy.TotalMilliseconds ? 0 : row;
            StartAnother(ref row, how);
        }
    }

    /// <summary>Tries until one runs or the row is over.</summary>
    private void StartAnother(ref int row, string how)
    {
        string? ended = $"The keeper has ended ({how}). Another is started; until then members would outlive this process if it is killed.";
        while (_process is null)
        {
            lock (_lock)
            {
                if (_disposed)
                {
                    return;
                }
            }

            if (++row > RestartLimit)
            {
                Tell("rpal", $"No other keeper is started: {RestartLimit} in a row have ended or could not be started, the last: {how}. "
                    + "Members would outlive this process if it is killed now.");
                return;
            }

            Tell("rpal", ended);
            ended = null;                                        // what fails from here on is another's start
            List<(string Member, string? Notice)> notices = [];
            lock (_lock)
            {
                _ = !_disposed && Monitor.Wait(_lock, Backoff.Delay(row));
                if (_disposed)
                {
                    return;
                }

                try
                {
                    _process = StartOne();
                    notices.AddRange(_wards.Values.Select(w => (w.Message.Name, w.Copies is null ? null : SendCopies(w))));
                }
                catch (MemberStartException e)
                {
                    how = e.Message;
                }
            }

            notices.ForEach(n => Tell(n.Member, n.Notice));
        }
    }

    /// <summary>Takes its answers until it has ended.</summary>
    private void Attend(KeeperProcess process)
    {
        PollFd* fds = stackalloc PollFd[2];
        while (true)
        {
            fds[0] = new() { Fd = process.Socket, Events = PollEvents.In };
            fds[1] = new() { Fd = process.Pidfd, Events = PollEvents.In };
            int ready = Sys.Poll(fds, 2, NextPatienceMs());
            if (ready > 0 && (fds[0].Returned & PollEvents.In) != 0)
            {
                Take(process);
            }

            if (ready > 0 && fds[1].Returned != 0)
            {
                return;
            }

            TellOverdue();
        }
    }

    private void Take(KeeperProcess process)
    {
        byte* bytes = stackalloc byte[WardAnswer.Bytes];
        if (Sys.Read(process.Socket, bytes, WardAnswer.Bytes) != WardAnswer.Bytes)
        {
            return;                                              // its end: the process's follows
        }

        process.HasProgram();
        WardAnswer answer = WardAnswer.Of(new ReadOnlySpan<byte>(bytes, WardAnswer.Bytes));
        string? lost = null;
        bool isBack;
        lock (_lock)
        {
            if (_wards.TryGetValue(answer.Pid, out Kept? ward) && ward.State == WardState.Handed)
            {
                ward.State = answer.Loss == DescriptorLoss.None ? WardState.Kept : WardState.Lost;
                lost = ward.State == WardState.Lost ? ward.Message.Name : null;
            }

            isBack = _isAnother && _wards.Values.All(w => w.State == WardState.Kept);
            _isAnother &= !isBack;
        }

        if (lost is not null)
        {
            Tell(lost, $"The keeper could not take it on: RLIMIT_NOFILE of the keeper, {Ward.DescriptorCount} descriptors a member "
                + $"({answer.Loss}). Nobody tells it or looks after it when rpal is killed. "
                + "Raise it (ulimit -n, LimitNOFILE=) and start the family anew.");
        }

        Tell("rpal", isBack ? "Another keeper looks after the members now." : null);
    }

    private int NextPatienceMs()
    {
        lock (_lock)
        {
            long now = Environment.TickCount64;
            return _wards.Values.Where(w => w is { State: WardState.Handed, IsOverdueTold: false })
                .Select(w => (int)Math.Max(0, w.HandedAt + AnswerPatienceMs - now)).DefaultIfEmpty(-1).Min();
        }
    }

    private void TellOverdue()
    {
        List<string> overdue = [];
        lock (_lock)
        {
            long now = Environment.TickCount64;
            foreach (Kept ward in _wards.Values.Where(w => w is { State: WardState.Handed, IsOverdueTold: false } && now >= w.HandedAt + AnswerPatienceMs))
            {
                ward.IsOverdueTold = true;
                overdue.Add(ward.Message.Name);
            }
        }

        overdue.ForEach(name =>
            Tell(name, $"The keeper has not taken it on within {AnswerPatienceMs / 1000} s: it is stopped, or the machine is overloaded. "
            + "Until it does, nobody may look after it when rpal is killed."));
    }

    private string? SendCopies(Kept ward)
    {
        int[] copies = ward.Copies!();
        int failed = Array.Find(copies, fd => fd < 0);
        ward.State = failed == 0 ? ward.State : WardState.Lost;
        // EBADF: it has ended meanwhile.
        string? notice = failed == 0 ? Send(ward, copies) : failed == -(int)Errno.EBADF ? null : NotTaken(failed);
        foreach (int fd in copies.Where(fd => fd >= 0))
        {
            _ = Sys.Close(fd);
        }

        return notice;
    }

    private static string NotTaken(int error) =>
        $"The keeper does not take it on ({ErrnoText.Describe(error)}): nobody tells it or looks after it when rpal is killed.";

    /// <returns>What the operator is to be told, or null.</returns>
    private string? Send(Kept ward, ReadOnlySpan<int> descriptors)
    {
        if (_process is not { } process)
        {
            return null;                                         // the next one gets it
        }

        nint r = Sys.SendDescriptors(process.Socket, ward.Message.ToBytes(), descriptors);
        (ward.State, ward.HandedAt) = (r >= 0 ? WardState.Handed : r == -(int)Errno.EPIPE ? WardState.Waiting : WardState.Lost, Environment.TickCount64);
        return ward.State == WardState.Lost ? NotTaken((int)r) : null;
    }

    private void Tell(string member, string? text)
    {
        if (text is not null)
        {
            _observer.Notice(member, text);
        }
    }

    private sealed class Kept(WardMessage message)
    {
        public WardMessage Message { get; } = message;

        public WardState State { get; set; }

        public long HandedAt { get; set; }

        public bool IsOverdueTold { get; set; }

        public Func<int[]>? Copies { get; set; }
    }
}
