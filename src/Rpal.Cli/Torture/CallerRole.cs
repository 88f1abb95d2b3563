using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Rpal.Cli.Torture;

/// <summary>A member that calls: one object a line of threads, of which one calls at a time. Every outcome is checked against what the host
/// did.</summary>
internal sealed unsafe class CallerRole
{
    /// <summary>For a callee that may be starting: another one then.</summary>
    public static readonly TimeSpan ConnectLimit = TimeSpan.FromSeconds(2);

    /// <summary>Calls of one thread: few, so that many threads come and go.</summary>
    private const int StretchLimit = 40;

    private readonly TortureArena* _arena;
    private readonly int _self, _thread, _callees;
    private readonly ulong _incarnation;
    private readonly CallPlace* _place;
    private readonly Random _random;
    private readonly RpalConnection?[] _connections = new RpalConnection?[TortureArena.GroupCapacity];
    private readonly ulong[] _calleeIncarnations = new ulong[TortureArena.GroupCapacity];
    private readonly byte[] _request = new byte[RequestHeader.SizeBytes + TortureMessage.PayloadLimitBytes];
    private readonly byte[] _answer = new byte[AnswerHeader.SizeBytes + TortureMessage.PayloadLimitBytes];
    private ulong _sequence;

    private CallerRole(TortureArena* arena, int self, int thread, ulong incarnation, TortureOptions options)
    {
        _arena = arena;
        _place = TortureArena.Call(arena, self, thread);
        (_self, _thread, _incarnation, _callees) = (self, thread, incarnation, options.Callees);
        _random = TortureMessage.RandomOf(options.Seed, (ulong)self, (ulong)thread, incarnation);
    }

    /// <summary>Starts nothing yet: the callers, of which each makes its calls when <see cref="CallerLine"/> has a thread for it.</summary>
    public static CallerRole[] Create(TortureArena* arena, int self, TortureOptions options, ulong incarnation) =>
        [.. Enumerable.Range(0, TortureOptions.Threads).Select(t => new CallerRole(arena, self, t, incarnation, options))];

    public bool IsOver => Volatile.Read(ref _arena->Stop) != 0;

    public Carrier NextCarrier()
    {
        var carrier = (Carrier)_random.Next((int)Carrier.Count);
        Count(carrier);
        return carrier;
    }

    public int NextCallee() => _random.Next(_callees);

    public void Connected(int callee, RpalConnection connection) => (_connections[callee], _calleeIncarnations[callee]) = (connection, 0);

    /// <summary>Calls a number of times. The first call of a thread is the one that may be taken for another's.</summary>
    public void Stretch()
    {
        Deed? first = Deed.Identity;
        for (int calls = 1 + _random.Next(StretchLimit); calls > 0 && !IsOver; calls--)
        {
            int callee = NextCallee();
            if (Volatile.Read(ref _arena->Pause) != 0)
            {
                Pace.BetweenLooks();
            }
            else if (_connections[callee] is not { } connection)
            {
                Connect(callee);
            }
            else
            {
                Call(connection, callee, first ?? Pick());
                first = null;
            }
        }
    }

    /// <summary>Cheap ones often, those that take long seldom.</summary>
    private Deed Pick() => _random.Next(100) switch
    {
        < 40 => Deed.Compute,
        < 45 => Deed.NullReference,
        < 47 => Deed.DivideByZero,
        < 49 => Deed.Throw,
        < 57 => Deed.File,
        < 64 => Deed.InPlace,
        < 70 => Deed.Allocate,
        < 71 => Deed.Collect,
        < 80 => Deed.Nested,
        < 84 => Deed.NestedAtHome,
        < 88 => Deed.Sleep,
        < 91 => Deed.Identity,
        _ => Deed.Echo,
    };

    private void Connect(int callee)
    {
        using var limit = new CancellationTokenSource(ConnectLimit);
        try
        {
            Connected(callee, RpalConnection.ConnectAsync(TortureMessage.ServiceOf(callee), limit.Token).GetAwaiter().GetResult());
            Call(_connections[callee]!, callee, Deed.Hello);
        }
        catch (OperationCanceledException)
        {
            // it is being started; another one then
        }
    }

    private void Call(RpalConnection connection, int callee, Deed deed)
    {
        bool struct_ = deed != Deed.Echo && _random.Next(2) == 0;
        int length = struct_ ? 0 : deed == Deed.Echo ? _random.Next(TortureMessage.PayloadLimitBytes + 1) : _random.Next(257);
        RequestHeader q = new()
        {
            Caller = _self,
            Thread = _thread,
            Incarnation = _incarnation,
            Sequence = ++_sequence,
            Deed = deed,
            Argument = _random.Next(4096),
            PayloadLengthBytes = length,
            Guard = TortureMessage.Guard,
        };
        Span<byte> payload = _request.AsSpan(RequestHeader.SizeBytes, length);
        _random.NextBytes(payload);
        q.Checksum = TortureMessage.ChecksumOf(q, payload);
        MemoryMarshal.Write(_request, in q);
        (Deadline deadline, int deadlineMs) = deed == Deed.Hello ? (Deadline.After(1000), 1000) : PickDeadline();
        using CancellationTokenSource? cancel = _random.Next(50) == 0 ? new CancellationTokenSource(_random.Next(30)) : null;

        Interlocked.Increment(ref _place->Calls);
        (_place->Sequence, _place->Incarnation, _place->Callee, _place->Deed, _place->DeadlineMs, _place->Way) = (_sequence, _incarnation, callee, deed, deadlineMs, struct_ ? 1 : 0);
        long began = Stopwatch.GetTimestamp();
        Volatile.Write(ref _place->StartedNs, began);
        AnswerHeader a = default;
        int answerLength = 0;
        CallStatus? status = null;
        Exception? thrown = null;
        try
        {
            status = !struct_ ? connection.Call(TortureMessage.Bytes, _request.AsSpan(0, RequestHeader.SizeBytes + length), _answer, out answerLength, deadline, cancel?.Token ?? default)
                : cancel is null ? connection.Call(TortureMessage.Value, in q, ref a, deadline)
                : connection.Call(TortureMessage.Value, in q, ref a, deadline, cancel.Token);
        }
        catch (RemoteCallException e)
        {
            thrown = e;
        }
        catch (OperationCanceledException e) when (cancel is not null)
        {
            thrown = e;
        }
        catch (RpalException e)
        {
            thrown = e;
        }

        long now = Stopwatch.GetTimestamp(), took = now - began;
        // Before the outcome is counted: a kill between the two must not count it twice.
        Volatile.Write(ref _place->StartedNs, 0);
        _place->LongestNs = Math.Max(_place->LongestNs, took);
        if (status == CallStatus.Answered && !struct_)
        {
            a = answerLength >= AnswerHeader.SizeBytes ? MemoryMarshal.Read<AnswerHeader>(_answer) : default;
        }

        if (thrown is not null)
        {
            OnThrown(in q, thrown, callee);
        }

        switch (status)
        {
            case CallStatus.Answered:
                OnAnswered(in q, in a, answerLength, struct_, payload, callee);
                break;
            case CallStatus.Busy:
                Count(ref _place->Busy);
                if (deadlineMs < 0 || took < deadlineMs * 1_000_000L)
                {
                    Wrong($"{deed} sequence {_sequence}: Busy after {took / 1e6} ms of {deadlineMs}");
                }

                break;
            case CallStatus.PeerDied:
                OnPeerDied(deed, callee, began, now);
                break;
            case CallStatus.Closed:
                Count(ref _place->Closed);
                _connections[callee] = null;
                break;
        }
    }

    private void OnThrown(in RequestHeader q, Exception thrown, int callee)
    {
        switch (thrown)
        {
            case RemoteCallException e:
                Count(ref _place->RemoteExceptions);
                if (q.Deed != Deed.Throw || !e.RemoteMessage.EndsWith($"{q.Checksum:x}", StringComparison.Ordinal))
                {
                    Wrong($"{q.Deed} sequence {q.Sequence}: {e}");
                }

                break;
            case OperationCanceledException:
                Count(ref _place->Canceled);
                break;
            case RpalException e:
                Wrong($"{q.Deed} sequence {q.Sequence}: {e.Error}: {e.Message}");
                _connections[callee] = null;
                break;
        }
    }

    private void OnAnswered(in RequestHeader q, in AnswerHeader a, int answerLength, bool struct_, ReadOnlySpan<byte> payload, int callee)
    {
        Count(ref _place->Answered);
        _place->Identities += TortureMessage.AsksKernel(q.Deed) ? 1ul : 0;
        ReadOnlySpan<byte> back = struct_ ? [] : _answer.AsSpan(Math.Min(AnswerHeader.SizeBytes, answerLength), Math.Max(0, answerLength - AnswerHeader.SizeBytes));
        string? problem = AnswerCheck.Problem(in q, in a, back, callee) ?? (q.Deed == Deed.Echo && !back.SequenceEqual(payload) ? "Echo: another payload" : null);
        ulong known = _calleeIncarnations[callee];
        if (problem is null && known != 0 && a.Incarnation != known)
        {
            problem = $"{q.Deed}: answered by incarnation {a.Incarnation}, connected to {known}";
        }

        _calleeIncarnations[callee] = a.Incarnation;
        Volatile.Write(ref TortureArena.Callee(_arena, callee)->WorkedIncarnation, a.Incarnation);
        Volatile.Write(ref TortureArena.Caller(_arena, _self)->WorkedIncarnation, _incarnation);
        if (problem is not null)
        {
            Wrong(problem);
        }
    }

    private static readonly TimeSpan s_lostPatience = TimeSpan.FromSeconds(5);

    private void OnPeerDied(Deed deed, int callee, long began, long now)
    {
        Count(ref _place->PeerDied);
        MemberPlace* peer = TortureArena.Callee(_arena, callee);
        ulong known = _calleeIncarnations[callee];
        long killed = Volatile.Read(ref peer->KilledNs);
        // A receiver that was lost with another caller is Dead before the host that starts its member anew has said so.
        if (known != 0 && !SpinWait.SpinUntil(() => Volatile.Read(ref TortureArena.Callee(_arena, callee)->MayDie) >= known, s_lostPatience))
        {
            Wrong($"{deed} sequence {_sequence}: PeerDied, but incarnation {known} of callee {callee} was not ended");
        }
        else if (known != 0 && known == Volatile.Read(ref peer->MayDie) && began < killed && killed < now)
        {
            TortureArena.AddSample(_arena, now - killed, deed);
        }

        _connections[callee] = null;
    }

    /// <summary>-1: never.</summary>
    private (Deadline, int) PickDeadline()
    {
        int ms = _random.Next(100) switch { < 5 => 0, < 40 => 1 + _random.Next(50), < 95 => 1000, _ => -1 };
        return (ms < 0 ? Deadline.Never : Deadline.After(ms), ms);
    }

    private void Count(Carrier carrier)
    {
        switch (carrier)
        {
            case Carrier.Heir:
                _place->Heirs++;
                break;
            case Carrier.PoolThread:
                _place->PoolThreads++;
                break;
            case Carrier.TimerThread:
                _place->TimerThreads++;
                break;
            default:
                _place->Continuations++;
                break;
        }
    }

    private static void Count(ref ulong counter) => Interlocked.Increment(ref counter);

    private void Wrong(string text)
    {
        Count(ref _place->Wrong);
        TortureArena.Wrong(_arena, $"caller {_self}.{_thread} incarnation {_incarnation}: {text}");
    }
}
