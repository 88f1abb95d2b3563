using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Rpal.Internal;
using Rpal.Linux;
using Rpal.Machine.Accounting;
using Rpal.Machine.Blocks;

namespace Rpal;

/// <summary>A way to call one service. Any number of threads may use it; it holds nothing that must be released.</summary>
/// <example><code>
/// RpalConnection adder = await RpalConnection.ConnectAsync("adder", cancellationToken);
/// long sum = 0;
/// CallStatus status = adder.Call(1, new Numbers(1, 2), ref sum, Deadline.After(milliseconds: 5));
/// </code></example>
public sealed class RpalConnection
{
    private static readonly unsafe delegate* unmanaged<ThreadBlock*, long, CallFrame*, uint> s_call = FindRoutine();

    private readonly unsafe ServiceEntry* _entry;
    private readonly ulong _registration;                              // the registration: what takes the name or the receivers later has another
    private readonly Peer _peer;
    private readonly nint[] _receivers;
    private readonly long _place;

    private unsafe RpalConnection(string service, int index, Peer peer, ulong registration, nint[] receivers)
    {
        Service = service;
        _entry = FamilyHeader.Service(index);
        _registration = registration;
        _peer = peer;
        _place = index % ThreadBlock.LastReceiverCount;
        _receivers = receivers;
    }

    /// <summary>The service's name.</summary>
    public string Service { get; }

    /// <summary>Time that this process's threads, and none of an earlier process in its slot, spent in the service. Zero unless the family accounts time; kept until another service takes the directory entry.</summary>
    public TimeSpan DonatedTime => Books.ToTime(Books.Sum(MemberRuntime.Donated.Where(r => r.Registration == _registration)));

    /// <summary>Cancelled when the service is closed or its process is gone: calls through this connection cannot be answered any more.</summary>
    /// <remarks>The same token for all connections to one registration. While somebody has asked for it, one thread of this process watches.</remarks>
    public unsafe CancellationToken Gone => GoneTokens.Of(_entry, _registration);

    /// <summary>Waits until the service is there and enabled.</summary>
    /// <param name="service">Its name.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>The connection. Its service's process may end at any time; calls then say so.</returns>
    /// <exception cref="ArgumentException">The name is empty or too long, see <see cref="RpalService.NameBytesLimit"/>.</exception>
    /// <exception cref="RpalException">This process is in no family, or in one of another version; see <see cref="RpalError"/>.</exception>
    /// <exception cref="OperationCanceledException">Cancelled before the service was there; says which, and what of it was there.</exception>
    public static Task<RpalConnection> ConnectAsync(string service, CancellationToken cancellationToken = default) => ConnectAsync(service, null, cancellationToken);

    /// <summary>Waits until the service with this name and key is there and enabled.</summary>
    /// <param name="service">Its name.</param>
    /// <param name="key">Its key, or null for any.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>The connection. Its service's process may end at any time; calls then say so.</returns>
    /// <exception cref="ArgumentException">The name is empty or too long, see <see cref="RpalService.NameBytesLimit"/>.</exception>
    /// <exception cref="RpalException">This process is in no family, or in one of another version; see <see cref="RpalError"/>.</exception>
    /// <exception cref="OperationCanceledException">Cancelled before the service was there; says which, and what of it was there.</exception>
    public static async Task<RpalConnection> ConnectAsync(string service, ulong? key, CancellationToken cancellationToken = default)
    {
        ServiceName.Check(service, nameof(service));
        MemberRuntime.Attach();
        try
        {
            // User code does not go on on the thread that waited: it ends right after.
            const TaskCreationOptions options = TaskCreationOptions.LongRunning | TaskCreationOptions.RunContinuationsAsynchronously;
            return TryConnect(service, key)
                ?? await Task.Factory.StartNew(() => Await(service, key, cancellationToken), cancellationToken, options, TaskScheduler.Default).ConfigureAwait(false);
        }
        catch (OperationCanceledException e)
        {
            string found = ServiceLook.Find(Encoding.UTF8.GetBytes(service)).Status switch
            {
                ServiceStatus.Enabled when key is not null => "one of that name is enabled, with another key",
                ServiceStatus.Enabled => "it has come just now",
                ServiceStatus.Disabled => "it is registered, and not enabled",
                _ => "no member has registered it",
            };
            throw new OperationCanceledException($"Cancelled while waiting for service '{service}': {found}.", e, cancellationToken);
        }
    }

    /// <summary>Calls a method whose request and answer are plain values.</summary>
    /// <param name="method">Its number.</param>
    /// <param name="request">Read by the handler where it lies.</param>
    /// <param name="answer">Written by the handler where it lies. Unchanged unless the handler wrote it.</param>
    /// <param name="deadline">How long to wait for a receiver.</param>
    /// <typeparam name="TRequest">An unmanaged type, the same on both sides.</typeparam>
    /// <typeparam name="TAnswer">An unmanaged type, the same on both sides.</typeparam>
    /// <returns><see cref="CallStatus.Answered"/>, or why not: <see cref="CallStatus.Busy"/>, <see cref="CallStatus.PeerDied"/>, <see cref="CallStatus.Closed"/>.</returns>
    /// <exception cref="RemoteCallException">The handler threw.</exception>
    /// <exception cref="RpalException">No such method, another size of request or answer, or more threads than a process can call from (4,096).</exception>
    [SkipLocalsInit]
    public unsafe CallStatus Call<TRequest, TAnswer>(int method, in TRequest request, ref TAnswer answer, Deadline deadline)
        where TRequest : unmanaged
        where TAnswer : unmanaged
    {
        fixed (TRequest* q = &request)
        fixed (TAnswer* a = &answer)
        {
            if (!OwnMemory.Holds(q, a))
            {
                return CallWithCopies(method, in request, ref answer, deadline, default);
            }

            CallFrame frame;
            frame.Method = method;
            frame.Status = FrameStatus.Done;
            frame.Request = (byte*)q;
            frame.RequestLengthBytes = sizeof(TRequest);
            frame.AnswerCapacityBytes = sizeof(TAnswer);
            frame.Answer = (byte*)a;
            frame.Registration = _registration;
            uint result = s_call(ArmedThread.Block, _place, &frame);
            return result == CallResult.Answered && frame.Status == FrameStatus.Done ? CallStatus.Answered : Finish(&frame, result, deadline, default);
        }
    }

    /// <inheritdoc cref="Call{TRequest, TAnswer}(int, in TRequest, ref TAnswer, Deadline)"/>
    /// <param name="method">Its number.</param>
    /// <param name="request">Read by the handler where it lies.</param>
    /// <param name="answer">Written by the handler where it lies. Unchanged unless the handler wrote it.</param>
    /// <param name="deadline">How long to wait for a receiver.</param>
    /// <param name="cancellationToken">Looked at before the call and while it waits for a receiver; a handler that has begun is not interrupted.</param>
    /// <exception cref="OperationCanceledException">Cancelled before a receiver took the call.</exception>
    [SkipLocalsInit]
    public unsafe CallStatus Call<TRequest, TAnswer>(int method, in TRequest request, ref TAnswer answer, Deadline deadline, CancellationToken cancellationToken)
        where TRequest : unmanaged
        where TAnswer : unmanaged
    {
        cancellationToken.ThrowIfCancellationRequested();
        fixed (TRequest* q = &request)
        fixed (TAnswer* a = &answer)
        {
            return OwnMemory.Holds(q, a)
                ? Call(method, (byte*)q, sizeof(TRequest), (byte*)a, sizeof(TAnswer), out _, deadline, cancellationToken)
                : CallWithCopies(method, in request, ref answer, deadline, cancellationToken);
        }
    }

    /// <summary>Calls a method whose request and answer are bytes.</summary>
    /// <param name="method">Its number.</param>
    /// <param name="request">Read by the handler where it lies.</param>
    /// <param name="answer">Room for the answer.</param>
    /// <param name="answerLengthBytes">Bytes that the handler wrote.</param>
    /// <param name="deadline">How long to wait for a receiver.</param>
    /// <param name="cancellationToken">Looked at before the call and while it waits for a receiver; a handler that has begun is not interrupted.</param>
    /// <returns><see cref="CallStatus.Answered"/>, or why not: <see cref="CallStatus.Busy"/>, <see cref="CallStatus.PeerDied"/>, <see cref="CallStatus.Closed"/>.</returns>
    /// <exception cref="RemoteCallException">The handler threw; also when the answer did not fit.</exception>
    /// <exception cref="RpalException">No such method, or one that takes values of another size.</exception>
    /// <exception cref="OperationCanceledException">Cancelled before a receiver took the call.</exception>
    public unsafe CallStatus Call(int method, ReadOnlySpan<byte> request, Span<byte> answer, out int answerLengthBytes, Deadline deadline, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        answerLengthBytes = 0;
        fixed (byte* q = request)
        fixed (byte* a = answer)
        {
            return OwnMemory.Holds(q, request.Length) && OwnMemory.Holds(a, answer.Length)
                ? Call(method, q, request.Length, a, answer.Length, out answerLengthBytes, deadline, cancellationToken)
                : CallWithCopies(method, request, answer, isValue: false, out answerLengthBytes, deadline, cancellationToken);
        }
    }

    /// <summary>The raw way for benchmarks: the receiver that this thread would use first.</summary>
    internal unsafe ReceiverBlock* FirstReceiver => (ReceiverBlock*)_receivers[0];

    /// <summary>Copies from the memory of the service's process, which may end or unmap it at any time.</summary>
    /// <param name="peerAddress">Where it lies there, as the service told it. Both processes use the same addresses.</param>
    /// <param name="destination">As many bytes as are wanted. Undefined unless <see cref="CopyStatus.Copied"/>: a part may be there.</param>
    /// <returns>Whether everything was copied, or why not; never an access violation.</returns>
    /// <exception cref="RpalException">More threads than a process can call from (4,096).</exception>
    /// <remarks>What the peer writes meanwhile may be torn: agree with it when it is safe to look, for instance in a call.</remarks>
    public unsafe CopyStatus TryCopyFrom(nint peerAddress, Span<byte> destination)
    {
        fixed (byte* to = destination)
        {
            return _peer.Copy(peerAddress, to, destination.Length, toPeer: false);
        }
    }

    /// <summary>Copies into the memory of the service's process, which may end or unmap it at any time.</summary>
    /// <param name="peerAddress">Where it lies there, as the service told it. Both processes use the same addresses.</param>
    /// <param name="source">What is copied. Unless <see cref="CopyStatus.Copied"/>, any part of it may have been written, from the beginning on.</param>
    /// <returns>Whether everything was copied, or why not; never an access violation, and never into a process that took the peer's place.</returns>
    /// <exception cref="RpalException">More threads than a process can call from (4,096).</exception>
    public unsafe CopyStatus TryCopyTo(nint peerAddress, ReadOnlySpan<byte> source)
    {
        fixed (byte* from = source)
        {
            return _peer.Copy(peerAddress, from, source.Length, toPeer: true);
        }
    }

    /// <summary>For benchmarks that make frames themselves.</summary>
    internal ulong Registration => _registration;

    /// <summary>One call with memory that is this process's to lend.</summary>
    private unsafe CallStatus Call(
        int method, byte* request, int requestLengthBytes, byte* answer, int answerCapacityBytes, out int answerLengthBytes,
        Deadline deadline, CancellationToken cancellationToken)
    {
        CallFrame frame = new()
        {
            Method = method,
            Request = request,
            RequestLengthBytes = requestLengthBytes,
            Answer = answer,
            AnswerCapacityBytes = answerCapacityBytes,
            Registration = _registration,
        };
        CallStatus status = Finish(&frame, s_call(ArmedThread.Block, _place, &frame), deadline, cancellationToken);
        answerLengthBytes = status == CallStatus.Answered ? Math.Clamp(frame.AnswerLengthBytes, 0, answerCapacityBytes) : 0;
        return status;
    }

    /// <summary>A handler hands on what it was lent: the next process gets copies, which live as long as this one (<see
    /// cref="OwnMemory"/>).</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private CallStatus CallWithCopies<TRequest, TAnswer>(
        int method, in TRequest request, ref TAnswer answer, Deadline deadline, CancellationToken cancellationToken)
        where TRequest : unmanaged
        where TAnswer : unmanaged
    {
        ReadOnlySpan<byte> requestBytes = MemoryMarshal.AsBytes(new ReadOnlySpan<TRequest>(in request));
        Span<byte> answerBytes = MemoryMarshal.AsBytes(new Span<TAnswer>(ref answer));
        return CallWithCopies(method, requestBytes, answerBytes, isValue: true, out _, deadline, cancellationToken);
    }

    // A value as answer goes there and back whole, because the handler may leave it as it is.
    private unsafe CallStatus CallWithCopies(
        int method, ReadOnlySpan<byte> request, Span<byte> answer, bool isValue, out int answerLengthBytes,
        Deadline deadline, CancellationToken cancellationToken)
    {
        byte[] ownRequest = ArrayPool<byte>.Shared.Rent(request.Length), ownAnswer = ArrayPool<byte>.Shared.Rent(answer.Length);
        try
        {
            request.CopyTo(ownRequest);
            if (isValue)
            {
                answer.CopyTo(ownAnswer);
            }

            fixed (byte* q = ownRequest)
            fixed (byte* a = ownAnswer)
            {
                CallStatus status = Call(method, q, request.Length, a, answer.Length, out answerLengthBytes, deadline, cancellationToken);
                int copied = status != CallStatus.Answered ? 0 : isValue ? answer.Length : answerLengthBytes;
                ownAnswer.AsSpan(0, copied).CopyTo(answer);
                return status;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(ownRequest);
            ArrayPool<byte>.Shared.Return(ownAnswer);
        }
    }

    /// <summary>Everything but the plain answer.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private unsafe CallStatus Finish(CallFrame* frame, uint result, Deadline deadline, CancellationToken cancellationToken)
    {
        if (result == CallResult.NotArmed)
        {
            result = s_call(ThreadArmory.Current, _place, frame);
        }

        if (result == CallResult.NotOwn)
        {
            throw ThreadArmory.GsIsTaken();
        }

        if ((result & CallResult.NotReady) != 0)
        {
            CallStatus status = new CallWait(_entry, _registration, _peer, _place, _receivers).Run(frame, deadline, cancellationToken);
            if (status != CallStatus.Answered)
            {
                return status;
            }
        }
        else if (result == CallResult.PeerDied)
        {
            return CallStatus.PeerDied;
        }

        return frame->Status switch
        {
            FrameStatus.Done => CallStatus.Answered,
            FrameStatus.Threw => throw Dispatcher.Read(Service, ThreadArmory.Current, frame->ErrorLengthBytes),
            FrameStatus.NoSuchMethod => throw new RpalException(RpalError.NoSuchMethod, $"Service {Service} has no method {frame->Method}."),
            FrameStatus.WrongRequestLength => throw new RpalException(RpalError.WrongSize,
                $"Method {frame->Method} of service {Service} takes a request of {frame->Detail} bytes, got {frame->RequestLengthBytes}. Use the same type on both sides."),
            _ => throw new RpalException(RpalError.WrongSize,
                $"Method {frame->Method} of service {Service} gives an answer of {frame->Detail} bytes, got room for {frame->AnswerCapacityBytes}. Use the same type on both sides."),
        };
    }

    private static unsafe RpalConnection? TryConnect(string service, ulong? key)
    {
        byte[] name = Encoding.UTF8.GetBytes(service);
        for (int i = 0; i < FamilyLayout.ServiceCapacity; i++)
        {
            ServiceEntry* e = FamilyHeader.Service(i);
            ulong registration = Volatile.Read(ref e->Registration);
            if ((ServiceState)Volatile.Read(ref *(uint*)&e->State) == ServiceState.Enabled
                && name.AsSpan().SequenceEqual(new(e->Name, Math.Clamp(e->NameLengthBytes, 0, ServiceEntry.NameCapacityBytes)))
                && (key is null || key == e->Key))
            {
                nint[] receivers = GC.AllocateUninitializedArray<nint>(Math.Clamp(e->ReceiverCount, 0, FamilyLayout.ReceiversPerService));
                for (int r = 0; r < receivers.Length; r++)
                {
                    receivers[r] = (nint)e->Receivers[r];
                }

                int member = Math.Clamp(e->Member, 0, FamilyLayout.MemberCapacity - 1);
                var peer = new Peer(member, Peer.GenerationOf(member));
                bool runs = (MemberState)Volatile.Read(ref *(uint*)&MemberBlock.At(member)->State) == MemberState.Running;     // its end is told before the directory is
                if (runs && receivers.Length > 0 && (ServiceState)Volatile.Read(ref *(uint*)&e->State) == ServiceState.Enabled && Volatile.Read(ref e->Registration) == registration)
                {
                    return new RpalConnection(service, i, peer, registration, receivers);
                }
            }
        }

        return null;
    }

    private static unsafe RpalConnection Await(string service, ulong? key, CancellationToken cancellationToken)
    {
        const long cancellationSliceNs = 50_000_000;
        uint* sequence = &FamilyHeader.At->DirectorySequence;
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            uint seen = Volatile.Read(ref *sequence);
            if (TryConnect(service, key) is { } connection)
            {
                return connection;
            }

            _ = Sys.FutexWait(sequence, seen, cancellationToken.CanBeCanceled ? cancellationSliceNs : -1);
        }
    }

    private static unsafe delegate* unmanaged<ThreadBlock*, long, CallFrame*, uint> FindRoutine() =>
        RpalFamily.Membership == FamilyMembership.Member
            ? (delegate* unmanaged<ThreadBlock*, long, CallFrame*, uint>)FamilyHeader.At->Address(Routine.CallAny)
            : null;
}
